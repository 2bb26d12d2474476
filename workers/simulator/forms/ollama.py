"""Ollama's dialect: `/api/chat` with streams of JSON lines, `/api/embed`, and OpenAI's under `/v1`.

Sources: Ollama's `docs/api.md` and its page on errors. It has no content filter: what is refused is
a plain 400, and a filtered answer is one that stops early. Pure.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from broker.core.weighing import Equivalents, content_of
from workers.simulator.asked import LONGEST_ANSWER, Asked, ChatAsked, VectorsAsked
from workers.simulator.forms.json_fields import boolean, model_of, object_of, whole_number
from workers.simulator.forms.openai import OpenAIForms
from workers.simulator.forms.openai_chat_request import EFFORTS, OUTPUT_FIELD
from workers.simulator.forms.openai_errors import sentence
from workers.simulator.forms.shape import ErrorForm, Events, Head, Operation, Route
from workers.simulator.made import LENGTH, Completion, Made, Vectors
from workers.simulator.problems import Problem, What, invalid, status_of

OWN: Final = "ollama"
"""The style of its own paths."""
_PATHS: Final[Mapping[str, Route]] = {
    "api/chat": Route(Operation.CHAT, style=OWN),
    "api/embed": Route(Operation.VECTORS, style=OWN),
}
_BUSY: Final = "server busy, please try again.  maximum pending requests exceeded"
_BUSY_STATUS: Final = 503
_SPENT_STATUS: Final = 402
_NANOSECONDS: Final = 1_000_000_000
_THOUGHTS: Final = EFFORTS["low"]


class OllamaForms(OpenAIForms):
    """The dialect at one cloud."""

    def route(self, method: str, tail: str, query: str) -> Route:
        """Its own paths, else OpenAI's; raises Problem."""
        found = _PATHS.get(tail)
        if found is None:
            return super().route(method, tail, query)
        if method != "POST":
            raise Problem(What.METHOD)
        return found

    def read(self, route: Route, body: bytes) -> Asked:
        """What is asked for; raises Problem."""
        if route.style != OWN:
            return super().read(route, body)
        data = object_of(body)
        model = model_of(data)
        if route.operation is Operation.VECTORS:
            given = data.get("input")
            texts = tuple(given) if isinstance(given, list) else (given,)
            if not texts or not all(isinstance(text, str) for text in texts):
                raise invalid("invalid input type")
            return VectorsAsked(model, texts, dimensions=whole_number(data, "dimensions"))
        return _chat(data, model)

    def whole(self, route: Route, asked: Asked, made: Made) -> bytes:
        """The body of a reply that comes whole."""
        if route.style != OWN:
            return super().whole(route, asked, made)
        if isinstance(made, Vectors):
            return orjson.dumps(
                {
                    "model": made.model,
                    "embeddings": [list(vector) for vector in made.vectors],
                    "total_duration": _NANOSECONDS,
                    "prompt_eval_count": made.input_tokens,
                }
            )
        events = self.events(route, asked, made)
        if isinstance(events, LineEvents):
            return events.whole()
        raise AssertionError

    def events(self, route: Route, asked: Asked, made: Made) -> Events:
        """The lines of a streamed one."""
        if route.style == OWN and isinstance(made, Completion):
            return LineEvents(made)
        return super().events(route, asked, made)

    def stream_headers(self, route: Route) -> Mapping[str, str]:
        """JSON lines."""
        if route.style == OWN:
            return {"Content-Type": "application/x-ndjson"}
        return super().stream_headers(route)

    def head(self, head: Head) -> Mapping[str, str]:
        """It tells nothing."""
        del head
        return {}

    def error(self, route: Route | None, problem: Problem) -> ErrorForm:
        """A sentence and a status."""
        if route is not None and route.style != OWN:
            return super().error(route, problem)
        if problem.what is What.CONCURRENCY:
            return ErrorForm(_BUSY_STATUS, orjson.dumps({"error": _BUSY}))
        status = _SPENT_STATUS if problem.what is What.SPENT else status_of(problem)
        return ErrorForm(status, orjson.dumps({"error": _said(problem)}))


class LineEvents:
    """The lines of an answer; the last of them says that it is done."""

    def __init__(self, made: Completion) -> None:
        self._made = made

    def opening(self) -> bytes:
        """What it thought, where that is shown."""
        thoughts = self._made.thoughts
        return self._line({"content": "", "thinking": thoughts}) if thoughts else b""

    def tokens(self, begin: int, end: int) -> bytes:
        """A line with the tokens between these places; a call comes whole, at the end."""
        made = self._made
        if made.tool is not None:
            return b""
        return self._line({"content": "".join(made.choices[0][begin:end])})

    def closing(self) -> bytes:
        """The last line."""
        return self._line({"content": ""}, done=True)

    def whole(self) -> bytes:
        """All of it in one."""
        made = self._made
        message = {"content": "".join(made.choices[0])}
        if made.thoughts:
            message["thinking"] = made.thoughts
        return self._line(message, done=True)

    def broken(self) -> bytes:
        """A line that is not JSON."""
        return b'{"model":"' + self._made.model.encode() + b'","message":{"role":"assist\n'

    def error(self, problem: Problem) -> bytes:
        """An error instead of the next line."""
        return orjson.dumps({"error": _said(problem)}) + b"\n"

    def _line(self, message: dict[str, Any], *, done: bool = False) -> bytes:
        made = self._made
        body: dict[str, Any] = {
            "model": made.model,
            "created_at": datetime.fromtimestamp(made.created, UTC).isoformat(),
            "message": {"role": "assistant", **message},
            "done": done,
        }
        if done:
            cut = made.finish_reason == LENGTH
            body["done_reason"] = "length" if cut else "stop"
            body |= {"total_duration": _NANOSECONDS, "load_duration": 0}
            body |= {"prompt_eval_count": made.input_tokens, "eval_count": made.output_tokens}
        return orjson.dumps(body) + b"\n"


def _chat(data: Mapping[str, Any], model: str) -> ChatAsked:
    messages = data.get("messages")
    if not isinstance(messages, list) or not all(isinstance(one, dict) for one in messages):
        raise invalid("json: messages must be a list of objects")
    options = data.get("options")
    options = options if isinstance(options, dict) else {}
    content = content_of(data, Equivalents())
    most = options.get("num_predict")
    think = data.get("think")
    form = data.get("format")
    return ChatAsked(
        model=model,
        texts=content.texts,
        extra_tokens=content.extra_tokens,
        max_tokens=most if type(most) is int and most > 0 else None,
        own_tokens=whole_number(data, OUTPUT_FIELD, LONGEST_ANSWER),
        stream=data.get("stream") is None or boolean(data, "stream"),
        schema=form if isinstance(form, dict) else {} if form == "json" else None,
        thoughts=EFFORTS.get(think, 0) if isinstance(think, str) else _THOUGHTS if think else 0,
        show_thoughts=bool(think),
    )


def _said(problem: Problem) -> str:
    if problem.what is What.MODEL:
        return f"model '{problem.details.model}' not found"
    if problem.what is What.TOO_LONG:
        return "the input length exceeds the context length"
    return sentence(problem)
