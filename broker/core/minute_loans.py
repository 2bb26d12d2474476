"""What a classifier lends of its part of a limit of a minute, and what it asks of others. Pure.

Parts go from one partition of the prompts to another and stay there until they are lent on. Whoever
gives counts it as gone before anyone hears of it, and gives only what no minute from then on needs:
so what all have together is never more than the limit, however late a line is read.

Who has less left than it may need soon says so (`Wanted`). Others give what they can spare, but for
a little that lets their own next prompts begin at once. Of what is still its own part, who wants it
is sure: those that have borrowed give it from when on what they have begun with it is a minute old,
and begin nothing more with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from broker.core.limit_room import Sums
from broker.core.minute_window import MinuteWindow
from broker.core.tenant_limits import MINUTE_S, Amounts, Bounds
from broker.records.tenant_parts import Wanted

KEPT: Final = 0.05
"""What of its part a classifier does not lend, where that is enough for a usual prompt."""
AHEAD: Final = 0.05
"""With less left than this share of what it has begun within a minute, and a usual prompt, it wants
twice as much: that is enough for three seconds, and loans take one."""
LEAST: Final = 0.002
"""Of less than this share of a limit nobody tells, unless it is all that is wanted."""
LATER_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0, 22.0, 30.0, 45.0, MINUTE_S + 1.0)
"""When what is begun with borrowed parts is looked at again, to give from then on."""

Moves = Mapping[int, Amounts]
"""What each partition gives, or, below zero, gets."""


@dataclass(frozen=True, slots=True)
class Owners:
    """Who has which partitions of the prompts, of which there are so many; `mine` is our name."""

    mine: str
    groups: Mapping[str, frozenset[int]]
    partitions: int

    @property
    def own(self) -> frozenset[int]:
        """Our partitions."""
        return self.groups[self.mine]


def wanted(
    window: MinuteWindow, bounds: Bounds, share: float, own: frozenset[int], unmet: Sums
) -> Amounts | None:
    """What to want more of the limits; None when nothing.

    `share` is that of the classifier's partitions, which are `own`; `unmet` what was asked lately
    and could not begin at once.
    """
    amounts, coming = [0.0, 0.0, 0.0], window.coming
    for number, bound in enumerate(bounds):
        if bound is None:
            continue
        lent = sum(window.lent[p][number] for p in own & window.lent.keys())
        counted = window.own[number] - coming[number]
        left = bound * share - counted
        low = AHEAD * max(0.0, counted - lent) + _usual(window, number)
        if left >= low and not unmet[number]:
            continue
        # What the others have begun they cannot give; but of what was our own part they must.
        there = max(bound - window.everyone[number], lent)
        wants = min(there, 2.0 * low + unmet[number] - left)
        if wants >= LEAST * bound:
            amounts[number] = wants
    return _amounts(amounts) if any(amounts) else None


def answered(
    window: MinuteWindow, bounds: Bounds, owners: Owners, wants: Sequence[Wanted], now: float
) -> tuple[dict[float, Moves], tuple[Wanted, ...]]:
    """What a classifier gives to those that want something, by when from; what they want yet."""
    window.forget(now)
    given = [[0.0, 0.0, 0.0] for _ in wants]
    moves: dict[float, dict[int, list[float]]] = {}
    for number, bound in enumerate(bounds):
        if bound is None:
            continue
        lots = _Lots(window, number, bound / owners.partitions, owners, now)
        for want, gets in zip(wants, given, strict=True):
            wish = want.amounts[number]
            if wish <= 0 or want.partition in owners.own:
                continue
            for at, partition, amount in lots.give(want, wish, min(LEAST * bound, wish)):
                by = moves.setdefault(at, {})
                by.setdefault(partition, [0.0, 0.0, 0.0])[number] += amount
                by.setdefault(want.partition, [0.0, 0.0, 0.0])[number] -= amount
                gets[number] += amount
    told: dict[float, Moves] = {
        at: {p: _amounts(one) for p, one in by.items()} for at, by in moves.items()
    }
    return told, tuple(_less(want, gets) for want, gets in zip(wants, given, strict=True))


def returned(window: MinuteWindow, own: frozenset[int], now: float) -> Moves:
    """What is given back to whoever lent it, when nothing was begun here for a minute."""
    moves: dict[int, list[float]] = {}
    window.forget(now)
    if any(any(peak) for peak in window.peaks(now).values()):
        return {}
    for number in range(3):
        borrowed = -sum(window.lent[p][number] for p in own & window.lent.keys())
        lacks = {p: max(0.0, sums[number]) for p, sums in window.lent.items() if p not in own}
        missing = sum(lacks.values())
        back = min(borrowed, missing)
        if back <= _NOTHING:
            continue
        has = {p: max(0.0, -window.lent[p][number]) for p in own & window.lent.keys()}
        for sums, factor in ((has, back / sum(has.values())), (lacks, -back / missing)):
            for partition, amount in sums.items():
                moves.setdefault(partition, [0.0, 0.0, 0.0])[number] += amount * factor
    return {partition: _amounts(one) for partition, one in moves.items()}


class _Lots:
    """What everyone has left of one dimension, as this classifier knows it."""

    def __init__(
        self, window: MinuteWindow, number: int, part: float, owners: Owners, now: float
    ) -> None:
        lent, groups = window.lent, owners.groups
        self._window, self._number, self._now = window, number, now
        self._mine = owners.mine
        self._net = {
            name: sum(lent[p][number] for p in own & lent.keys()) for name, own in groups.items()
        }
        self._parts = {p: part - lent.get(p, _NONE)[number] for p in owners.own}
        self._left: dict[float, dict[int, float]] = {}
        self._spare = {
            name: sum(part - window.of(p)[number] for p in own) - self._kept(part * len(own))
            for name, own in groups.items()
        }
        self._spare[owners.mine] = self._free(now) - self._kept(part * len(owners.own))

    def give(self, want: Wanted, wish: float, least: float) -> Iterator[tuple[float, int, float]]:
        """When from, of which of our partitions, and how much."""
        due = self._due(want, wish)
        gives = min(self._free(self._now), max(due, self._shared(want, wish)))
        if gives >= least:
            yield from self._take(self._now, gives)
            due -= gives
        for later in LATER_S:
            if due < least:
                break
            gives = min(due, self._free(self._now + later))
            if gives >= least:
                yield from self._take(self._now + later, gives)
                due -= gives

    def _kept(self, part: float) -> float:
        kept = KEPT * part
        return kept if kept >= _usual(self._window, self._number) else 0.0

    def _due(self, want: Wanted, wish: float) -> float:
        """What we have borrowed and must give back, with the others that have."""
        borrowed = {name: max(0.0, -net) for name, net in self._net.items() if name != want.by}
        own = borrowed.get(self._mine, 0.0)
        if not own:
            return 0.0
        lacks = min(wish, max(0.0, self._net.get(want.by, 0.0)))
        return min(own, lacks * own / sum(borrowed.values()))

    def _shared(self, want: Wanted, wish: float) -> float:
        """Our share of what all can spare."""
        spare = {n: amount for n, amount in self._spare.items() if n != want.by and amount > 0}
        own = spare.get(self._mine, 0.0)
        return min(own, wish * own / sum(spare.values())) if own else 0.0

    def _left_at(self, at: float) -> dict[int, float]:
        """What each of our partitions does not need from then on."""
        found = self._left.get(at)
        if found is None:
            peaks, number = self._window.peaks(at), self._number
            found = self._left[at] = {
                p: part - peaks.get(p, _NONE)[number] for p, part in self._parts.items()
            }
        return found

    def _free(self, at: float) -> float:
        return max(0.0, sum(self._left_at(at).values()))

    def _take(self, at: float, amount: float) -> Iterator[tuple[float, int, float]]:
        """Each partition gives as much of it as it has left of all."""
        left = {p: one for p, one in self._left_at(at).items() if one > 0}
        factor = amount / sum(left.values())
        for partition, one in left.items():
            gives = one * factor
            self._parts[partition] -= gives
            for known in self._left.values():
                known[partition] -= gives
            yield at, partition, gives
        self._spare[self._mine] -= amount
        self._net[self._mine] += amount


_NOTHING: Final = 1e-9
_NONE: Final[Sums] = [0.0, 0.0, 0.0]


def _usual(window: MinuteWindow, number: int) -> float:
    """What a usual prompt of the tenant takes."""
    requests = window.everyone[0]
    return window.everyone[number] / requests if requests > 0 else float(number == 0)


def _less(want: Wanted, given: Sums) -> Wanted:
    left = [wish - gets for wish, gets in zip(want.amounts, given, strict=True)]
    return replace(want, amounts=_amounts(left))


def _amounts(sums: Sums) -> Amounts:
    return sums[0], sums[1], sums[2]
