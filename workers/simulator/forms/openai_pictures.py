"""Pictures in OpenAI's form of `/images/generations`. Pure.

https://platform.openai.com/docs/api-reference/images: models of the gpt-image kind give base64
only. Only PNG is made here.
"""

import base64
import re
from typing import Any, Final

import orjson

from broker.core.weighing import PER_PROMPT, Equivalents
from workers.simulator.asked import PicturesAsked
from workers.simulator.forms.json_fields import boolean, model_of, object_of, whole_number
from workers.simulator.forms.openai_errors import error_object
from workers.simulator.made import Pictures
from workers.simulator.problems import Problem, invalid, wrong

MOST: Final = 10
LARGEST: Final = 4_096
"""Pixels of a side."""
_SIZE: Final = re.compile(r"([1-9][0-9]{0,3})x([1-9][0-9]{0,3})")
_USUAL: Final = "1024x1024"
_QUALITIES: Final = ("auto", "low", "medium", "high")


def read_pictures(body: bytes, model: str | None = None) -> PicturesAsked:
    """Read a request's body; raises Problem."""
    data = object_of(body)
    name = model_of(data) if model is None else model
    prompt = data.get("prompt")
    if prompt is None:
        raise invalid(
            "Missing required parameter: 'prompt'.",
            code="missing_required_parameter",
            param="prompt",
        )
    if not isinstance(prompt, str) or not prompt:
        raise wrong("prompt", "must be a text that is not empty")
    if data.get("response_format") is not None:
        raise invalid(
            "Unknown parameter: 'response_format'.",
            code="unknown_parameter",
            param="response_format",
        )
    if data.get("output_format") not in (None, "png"):
        raise wrong("output_format", "must be png: the simulator paints nothing else")
    width, height = size_of(data.get("size"))
    quality = data.get("quality") or "auto"
    if quality not in _QUALITIES:
        raise wrong("quality", f"must be one of {', '.join(_QUALITIES)}")
    quality = "medium" if quality == "auto" else quality
    return PicturesAsked(
        model=name,
        texts=(prompt,),
        extra_tokens=PER_PROMPT,
        count=whole_number(data, "n", MOST) or 1,
        width=width,
        height=height,
        quality=quality,
        tokens_each=Equivalents().image_out[quality],
        stream=boolean(data, "stream"),
    )


def size_of(given: Any) -> tuple[int, int]:
    """Width and height in pixels; raises Problem."""
    if given in (None, "auto"):
        given = _USUAL
    found = _SIZE.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise wrong("size", "must be such as 1024x1024, or auto")
    width, height = int(found[1]), int(found[2])
    if max(width, height) > LARGEST:
        raise wrong("size", f"must be at most {LARGEST} pixels a side")
    return width, height


def whole_pictures(asked: PicturesAsked, made: Pictures) -> dict[str, Any]:
    """A reply that comes whole."""
    return {
        **_described(asked),
        "created": made.created,
        "data": [{"b64_json": base64.b64encode(one).decode()} for one in made.pictures],
        "usage": _usage(made),
    }


class PictureEvents:
    """One event for each picture, whole; there are no partial ones."""

    def __init__(self, asked: PicturesAsked, made: Pictures) -> None:
        self._asked = asked
        self._made = made

    def opening(self) -> bytes:
        """Nothing is there before the first picture."""
        return b""

    def tokens(self, _begin: int, _end: int) -> bytes:
        """Every picture but the last."""
        return b"".join(self._event(one) for one in self._made.pictures[:-1])

    def closing(self) -> bytes:
        """The last one."""
        return self._event(self._made.pictures[-1])

    def broken(self) -> bytes:
        """An event that is not JSON."""
        return b'event: image_generation.completed\ndata: {"type":"image_generation\n\n'

    def error(self, problem: Problem) -> bytes:
        """An error instead of the next event."""
        return b"event: error\ndata: " + orjson.dumps({"error": error_object(problem)}) + b"\n\n"

    def _event(self, picture: bytes) -> bytes:
        body = {
            **_described(self._asked),
            "type": "image_generation.completed",
            "created_at": self._made.created,
            "b64_json": base64.b64encode(picture).decode(),
            "usage": _usage(self._made),
        }
        return b"event: image_generation.completed\ndata: " + orjson.dumps(body) + b"\n\n"


def _described(asked: PicturesAsked) -> dict[str, Any]:
    return {
        "background": "opaque",
        "output_format": "png",
        "quality": asked.quality,
        "size": f"{asked.width}x{asked.height}",
    }


def _usage(made: Pictures) -> dict[str, Any]:
    return {
        "input_tokens": made.input_tokens,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": made.input_tokens},
        "output_tokens": made.output_tokens,
        "output_tokens_details": {"image_tokens": made.output_tokens, "text_tokens": 0},
        "total_tokens": made.input_tokens + made.output_tokens,
    }
