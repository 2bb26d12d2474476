"""One prompt of a replay: what it asks for without its texts, and how its answer turned out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from broker.core.weighing import own_maximum
from broker.records.incoming import Source
from broker.records.prompt import Prompt

_NUMBERS: Final = ("max_output_tokens", "max_completion_tokens", "max_tokens", "n")
_WORDS: Final = ("quality", "size", "stream", "logprobs", "top_logprobs")
_LISTS: Final = ("tools", "functions")


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt as it is replayed; its `accepted_at` is when it comes.

    `output_tokens` is how long the answer was: it makes the provider's time and bill, and nothing
    that decides may see it. None where only the simulated cloud knows.
    """

    prompt: Prompt
    input_tokens: int
    output_tokens: int | None = field(repr=False)
    own_maximum: int | None = None
    """The most output tokens that the request allows for one answer, where it says so."""


def asked_of(prompt: Prompt, input_tokens: int, output_tokens: int | None) -> Asked:
    """A prompt with the tokens that were counted for it; its texts are left behind."""
    bare = replace(
        prompt, fields=without_texts(prompt.fields), metadata={}, headers=(), reply_partition=None
    )
    return Asked(bare, input_tokens, output_tokens, own_maximum(bare.fields))


def numbered(prompts: Iterable[Asked]) -> tuple[Asked, ...]:
    """These prompts as if they stood in one partition, in their order: no place is there twice."""
    return tuple(
        replace(one, prompt=replace(one.prompt, source=Source(0, number)))
        for number, one in enumerate(prompts)
    )


def without_texts(fields: Mapping[str, Any]) -> dict[str, Any]:
    """What of a prompt's fields weighs and routes it beside its texts."""
    kept = {name: fields[name] for name in (*_NUMBERS, *_WORDS) if name in fields}
    kept |= {name: [{}] for name in _LISTS if fields.get(name)}
    wanted = fields.get("response_format")
    if isinstance(wanted, Mapping):
        kept["response_format"] = {"type": wanted.get("type")}
    text = fields.get("text")
    if isinstance(text, Mapping) and isinstance(text.get("format"), Mapping):
        kept["text"] = {"format": {"type": text["format"].get("type")}}
    parts = [part for name in ("messages", "input") for part in _parts(fields.get(name))]
    if parts:
        kept["messages"] = [{"content": parts}]
    return kept


def _parts(messages: Any) -> list[dict[str, Any]]:
    """Parts of messages that are no text, by their type alone."""
    found: list[dict[str, Any]] = []
    if not isinstance(messages, list):
        return found
    for message in messages:
        content = message.get("content") if isinstance(message, Mapping) else None
        for part in content if isinstance(content, list) else ():
            kind = part.get("type") if isinstance(part, Mapping) else None
            if isinstance(kind, str) and kind not in {"text", "input_text", "output_text"}:
                found.append({"type": kind})
    return found
