"""Pictures of Gemini: `generateContent` with a response of text and image.

A picture is asked for with OpenAI's names and comes back in OpenAI's form.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from broker.records.work import Work
from workers.providers.dialect import Answer, CannotExpressError, ErrorReply, MalformedReplyError
from workers.providers.gemini_choice import FINISHED, finish_of, inline_of
from workers.providers.gemini_errors import error_in, word_of
from workers.providers.gemini_reply import PROMPT_BLOCKED, decoded, notes_of, seconds_of, usage_of
from workers.providers.gemini_request import BROKERS
from workers.providers.openai_reply import ANSWER_FILTERED, count_of

_RATIOS: Final[Mapping[str, float]] = {
    name: int(name.partition(":")[0]) / int(name.partition(":")[2])
    for name in ("1:1", "2:3", "3:2", "3:4", "4:3", "9:16", "16:9", "21:9")
}
"""The shapes that the official SDK names."""
_NEAR: Final = 0.02
"""How far from a shape a size may be, as a share; 1792x1024 is meant to be 16:9."""
_LONGEST_SIDES: Final = ((1_792, None), (3_072, "2K"), (6_400, "4K"))
"""Up to which longer side a picture is of Gemini's usual size, of 2K, of 4K."""

_SAME_ANYWAY: Final[Mapping[str, frozenset[Any]]] = {
    "n": frozenset({1}),
    "quality": frozenset({"auto", "low", "medium", "standard"}),
    "response_format": frozenset({"b64_json"}),
    "background": frozenset({"auto", "opaque"}),
    "moderation": frozenset({"auto"}),
    "output_compression": frozenset({100}),
}
"""Values that ask for what happens anyway, or for less: Gemini's quality is one."""

_SIZE: Final = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
_TYPES: Final[Mapping[str, str]] = {"png": "image/png", "jpeg": "image/jpeg"}
_HARMLESS: Final = BROKERS | {"user", "max_output_tokens", "max_tokens", "max_completion_tokens"}


def image_body(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The body for a prompt of one picture; raises CannotExpressError."""
    config: dict[str, Any] = {}
    body: dict[str, Any] = {
        "contents": [{"parts": [{"text": fields.get("prompt")}], "role": "user"}],
        "generationConfig": {"responseModalities": ["TEXT", "IMAGE"]},
    }
    for name, value in fields.items():
        if value is None or name in _HARMLESS:
            continue
        if name == "size":
            config |= _size(value)
        elif name == "output_format":
            if not isinstance(value, str) or value not in _TYPES:
                raise CannotExpressError(f"Gemini makes pictures as {' or '.join(_TYPES)}.")
            config["imageOutputOptions"] = {"mimeType": _TYPES[value]}
        elif name in ("safety_settings", "safetySettings"):
            body["safetySettings"] = value
        elif name == "n" and value != 1:
            raise CannotExpressError("Gemini makes one picture a call, and `n` asks for more.")
        elif not isinstance(value, str | int) or value not in _SAME_ANYWAY.get(name, ()):
            raise CannotExpressError(f"Gemini has no word for the field {name[:64]!r} as it is.")
    if config:
        body["generationConfig"]["imageConfig"] = config
    return body


def _size(given: Any) -> dict[str, Any]:
    if given == "auto":
        return {}
    found = _SIZE.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise CannotExpressError("`size` must be a width and a height, such as 1024x1024.")
    wide, high = int(found.group(1)), int(found.group(2))
    shape = next(
        (name for name, ratio in _RATIOS.items() if abs(wide / high / ratio - 1) <= _NEAR),
        None,
    )
    longer = max(wide, high)
    if shape is None or longer > _LONGEST_SIDES[-1][0]:
        raise CannotExpressError(
            f"Gemini makes pictures of the shapes {', '.join(_RATIOS)}, to 4K."
        )
    size = next(size for most, size in _LONGEST_SIDES if longer <= most)
    return {"aspectRatio": shape} | ({} if size is None else {"imageSize": size})


def image_answer(work: Work, body: bytes) -> Answer:
    """Read a reply; raises ErrorReply, also when there is no picture, and MalformedReplyError."""
    data = decoded(body)
    if not isinstance(data, dict):
        raise MalformedReplyError("The reply is not a JSON object.")
    if data.get("error"):
        raise error_in(data, 200)
    meta = data.get("usageMetadata")
    meta = meta if isinstance(meta, dict) else {}
    notes = notes_of(meta)
    try:
        refusal, pictures = _pictures(data, notes)
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        raise MalformedReplyError("The reply holds no candidate of a known form.") from error
    if refusal is None and not pictures:
        raise ErrorReply(
            status=200,
            kind="no_answer",
            code="NO_IMAGE",
            message="Gemini answered without a picture.",
        )
    return Answer(
        text=None,
        body={
            "created": seconds_of(data.get("createTime")) or int(work.accepted_at),
            "data": [{"b64_json": data} for _, data in pictures],
            **({"output_format": pictures[0][0].rpartition("/")[2]} if pictures else {}),
            "usage": _usage_body(meta),
        },
        usage=usage_of(meta, images=len(pictures)),
        finish_reason="stop" if refusal is None else "content_filter",
        refusal=refusal,
        notes=notes,
    )


def _pictures(
    data: dict[str, Any], notes: dict[str, str]
) -> tuple[str | None, list[tuple[str, str]]]:
    """The refusal, if it is one, and pictures as media type and base64.

    What was drawn in thought is not among them.
    """
    if not data.get("candidates"):
        notes["block_reason"] = word_of(data["promptFeedback"]["blockReason"]) or "OTHER"
        return PROMPT_BLOCKED, []
    candidate = data["candidates"][0]
    word = finish_of(candidate)
    if word is None:
        raise MalformedReplyError("The reply holds no candidate that has ended.")
    refusal = None
    if FINISHED[word] == "content_filter":
        refusal = ANSWER_FILTERED
        notes["finish_reason"] = word
    parts = (candidate.get("content") or {}).get("parts") or ()
    drawn = [
        inline_of(part["inlineData"])
        for part in parts
        if part.get("inlineData") is not None and part.get("thought") is not True
    ]
    return refusal, drawn


def _usage_body(meta: Mapping[str, Any]) -> dict[str, Any] | None:
    usage = usage_of(meta)
    if usage.output_tokens is None:
        return None
    asked = usage.input_tokens or 0
    details = meta.get("promptTokensDetails")
    pictures = sum(
        count_of(each.get("tokenCount")) or 0
        for each in (details if isinstance(details, list) else ())
        if isinstance(each, dict) and each.get("modality") == "IMAGE"
    )
    return {
        "input_tokens": asked,
        "output_tokens": usage.output_tokens,
        "total_tokens": asked + usage.output_tokens,
        "input_tokens_details": {"text_tokens": max(0, asked - pictures), "image_tokens": pictures},
    }
