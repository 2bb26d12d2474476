"""Other kinds of prompts among those of a replay: recorded traces hold whole chat answers only."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from broker.load.replay import DuePrompt

_DESCRIPTION: Final = 300
"""Characters of a request that are taken for a picture's description."""
_TEXTS: Final = 4
"""Most texts of one request for embeddings."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Every so many prompts is one of that kind; those of one kind lie between the others'."""

    stream_every: int = 4
    embedding_every: int = 16
    picture_every: int = 40


@dataclass(frozen=True, slots=True)
class Mixed:
    """A plan with how many prompts of each kind it has; `streams` are chats."""

    plan: tuple[DuePrompt, ...]
    streams: int
    embeddings: int
    pictures: int


def mixed(plan: Sequence[DuePrompt], mixture: Mixture | None = None) -> Mixed:
    """Ask for some answers as streams, and turn some requests into pictures and embeddings.

    Texts, tenants and times stay those of the trace, and so does everything that was made heavy.
    """
    given = mixture or Mixture()
    made: list[DuePrompt] = []
    counts = {"stream": 0, "embedding": 0, "picture": 0}
    for number, prompt in enumerate(plan):
        kind = _kind(number, given) if prompt.joined == 1 else None
        if kind is None:
            made.append(prompt)
            continue
        counts[kind] += 1
        made.append(replace(prompt, fields=_fields(kind, prompt)))
    return Mixed(tuple(made), counts["stream"], counts["embedding"], counts["picture"])


def _kind(number: int, given: Mixture) -> str | None:
    for kind, every in (
        ("picture", given.picture_every),
        ("embedding", given.embedding_every),
        ("stream", given.stream_every),
    ):
        if number % every == every // 2:
            return kind
    return None


def _fields(kind: str, prompt: DuePrompt) -> dict[str, Any]:
    text = str(prompt.fields["prompt"])
    if kind == "stream":
        return {**prompt.fields, "stream": True}
    if kind == "picture":
        what = {"prompt": text[:_DESCRIPTION], "quality": "low", "size": "1024x1024"}
        return {"tenant": prompt.tenant, "kind": "image", **what}
    step = max(1, -(-len(text) // _TEXTS))
    texts = [part for at in range(0, len(text), step) if (part := text[at : at + step].strip())]
    return {"tenant": prompt.tenant, "kind": "embedding", "input": texts or [text]}
