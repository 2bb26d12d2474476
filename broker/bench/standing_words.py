"""How good the words about prompts' ends were at each moment in which they stood. Pure.

A word stands from when it was said until the next one of its prompt, or its end: whoever looks at a
moment sees the words that stand then. So one that was wrong for a minute counts for more than one
that was put right after a second.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from broker.core.lanes import LANES
from broker.records.completion import Completion
from broker.records.progress import ProgressRecord

_LEAST_LEFT_S: Final = 0.5
"""A range is compared with no less than this."""


@dataclass(frozen=True, slots=True)
class Stood:
    """One word: for how many seconds it stood, whether the end came within it, how wide it was.

    `wide` is the range's width over the time that was left when it was said.
    """

    lane: str
    state: str
    moved: bool
    seconds: float
    within: bool
    wide: float


def standing(said: Iterable[ProgressRecord], ended: Mapping[str, Completion]) -> Sequence[Stood]:
    """Every word about these prompts, of which the newest counts, until they ended."""
    words: defaultdict[str, list[ProgressRecord]] = defaultdict(list)
    for one in said:
        if one.id in ended:
            words[one.id].append(one)
    found = []
    for identity, own in words.items():
        own.sort(key=lambda one: one.at)
        end = ended[identity]
        nexts = [*(one.at for one in own[1:]), end.completed_at]
        for one, until in zip(own, nexts, strict=True):
            low, high = one.ends_at
            left = max(_LEAST_LEFT_S, end.completed_at - one.at)
            found.append(
                Stood(
                    one.lane,
                    one.state,
                    moved=len(end.route) > 1,
                    seconds=max(0.0, min(until, end.completed_at) - one.at),
                    within=low <= end.completed_at <= high,
                    wide=(high - low) / left,
                )
            )
    return found


def share_within(words: Iterable[Stood]) -> float:
    """The share of the time in which they stood that had the real end within; 0 without any."""
    right = whole = 0.0
    for one in words:
        whole += one.seconds
        right += one.seconds if one.within else 0.0
    return right / whole if whole else 0.0


def usual_width(words: Iterable[Stood]) -> float:
    """The width that half of the time was not above; 0 without any."""
    ordered = sorted(words, key=lambda one: one.wide)
    half = sum(one.seconds for one in ordered) / 2
    for one in ordered:
        half -= one.seconds
        if half <= 0:
            return one.wide
    return 0.0


def table(words: Sequence[Stood]) -> list[str]:
    """Lines by lane, whether the prompt moved, and where it was, with all of them at the end."""
    lines = [f"{'':24}{'words':>8}{'seconds':>10}{'within':>8}{'width':>8}"]
    kinds: list[tuple[str, Callable[[Stood], bool]]] = [
        (f"{lane} {how} {state}", _one(lane, state, moved=moved))
        for lane in LANES
        for how, moved in (("stayed", False), ("moved", True))
        for state in ("waiting", "running")
    ]
    kinds += [
        ("all that stayed", lambda one: not one.moved),
        ("all that moved", lambda one: one.moved),
        ("all", lambda _: True),
    ]
    for name, takes in kinds:
        some = [one for one in words if takes(one)]
        if some:
            seconds = sum(one.seconds for one in some)
            lines.append(
                f"{name:24}{len(some):>8,}{seconds:>10,.0f}"
                f"{share_within(some):>8.2f}{usual_width(some):>7.1f}x"
            )
    return lines


def _one(lane: str, state: str, *, moved: bool) -> Callable[[Stood], bool]:
    return lambda one: (one.lane, one.state, one.moved) == (lane, state, moved)
