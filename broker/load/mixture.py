"""What is mixed into a replay: recorded traces hold whole chats only, of well-behaved tenants.

Some answers are asked for as streams, some requests become pictures and embeddings, and one tenant
sends all of its prompts at one moment.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from broker.load.replay import DuePrompt

_DESCRIPTION: Final = 300
"""Characters of a request that are taken for a picture's description."""
_TEXTS: Final = 4
"""Most texts of one request for embeddings."""
NOISY: Final = "reports"
"""The tenant that sends its prompts all at once."""
_BURST_AT: Final = 0.3
_BURST_FROM: Final = 0.6
"""Shares of a replay: when the burst comes, and the part that its prompts are taken from."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """Every so many prompts is one of that kind; those of one kind lie between the others'."""

    stream_every: int = 4
    embedding_every: int = 16
    picture_every: int = 40
    burst_every: int | None = 8
    """Of the first part; None: every tenant keeps its pace."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """A plan with how many prompts of each kind it has; `streams` are chats, `burst` any."""

    plan: tuple[DuePrompt, ...]
    streams: int
    embeddings: int
    pictures: int
    burst: int


def mixed(plan: Sequence[DuePrompt], mixture: Mixture | None = None) -> Mixed:
    """Ask for some answers as streams, and turn some requests into pictures and embeddings.

    Texts, tenants and times stay those of the trace, and so does everything that was made heavy;
    but for those of the burst, which have another tenant and time.
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
    burst = _burst(made, given.burst_every)
    due = sorted((*burst, *made), key=lambda prompt: prompt.due_s) if burst else made
    return Mixed(tuple(due), counts["stream"], counts["embedding"], counts["picture"], len(burst))


def _burst(made: list[DuePrompt], every: int | None) -> list[DuePrompt]:
    """Take the prompts of the burst out of the plan, with their new tenant and time."""
    if every is None or not made:
        return []
    at = made[int(len(made) * _BURST_AT)].due_s
    taken = [
        number
        for number in range(every // 2, int(len(made) * _BURST_FROM), every)
        if made[number].joined == 1
    ]
    burst = [
        replace(one, tenant=NOISY, due_s=at, fields={**one.fields, "tenant": NOISY})
        for one in (made[number] for number in taken)
    ]
    for number in reversed(taken):
        del made[number]
    return burst


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
