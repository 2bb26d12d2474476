"""The waiting room of a worker: what starts next. Pure: it takes `now`, and knows no clock or loop.

Work waits in a queue by lane. `broker.core.slots` says which lane the next free slot goes to,
`broker.core.fairness` whose turn it is inside the lane. What failed, or may not start yet, rests
until its time and holds no slot meanwhile. The room is bounded by whoever adds to it.

A batch item with a deadline presses once half of the time that it had when it came is over, or
`LEAST_LEAD_S` before the deadline: then batch has a share of the slots as heavy has, and what
presses goes before other batch items, by deadline inside its tenant.

A heavy item's wait is bounded whatever floods. Once other lanes' calls that run too many have ended
(the longest call), heavy has `least_slots(rules, "heavy")` slots; where that is none, of five open
slots or fewer, one call of each other lane may stand before each start. In its lane stands before
it, of each other tenant, `share / own share * weight` and one item, of its own what `fairness` lets
go first. That weight, over those slots' speed, is the bound. See `oldest_wait`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from typing import Final, Generic

from broker.core.ageing import key_of
from broker.core.alarms import Alarms
from broker.core.fairness import FairQueue, T
from broker.core.lanes import LANES, Lane
from broker.core.slots import SlotRules, SlotSharing

LEAD_SHARE: Final = 0.5
LEAST_LEAD_S: Final = 30.0


def equal_shares(_tenant: str) -> float:
    """The share of a tenant where none is set."""
    return 1.0


class WaitingRoom(Generic[T]):
    """Slots, and what waits for one. `share_of` says a tenant's share. Not thread-safe."""

    def __init__(self, rules: SlotRules, share_of: Callable[[str], float] = equal_shares) -> None:
        self._slots = SlotSharing(rules)
        self._share_of = share_of
        self._queues: dict[Lane, FairQueue[T]] = {lane: FairQueue(share_of) for lane in LANES}
        self._pressing: FairQueue[T] = FairQueue(share_of)
        self._counts: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._weights: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._resting: dict[T, float] = {}
        self._rests: Alarms[T] = Alarms()
        self._deadlines: Alarms[T] = Alarms()
        self._presses: Alarms[T] = Alarms()

    @property
    def waiting(self) -> Mapping[Lane, int]:
        """Items that wait for a slot, by lane."""
        return self._counts

    @property
    def waiting_weight(self) -> Mapping[Lane, int]:
        """Their weight, resting ones included, by lane; token units."""
        return self._weights

    @property
    def running(self) -> dict[Lane, int]:
        """Slots in use, by lane."""
        return dict(self._slots.running)

    @property
    def in_flight(self) -> int:
        """Slots in use."""
        return self._slots.busy

    @property
    def slots(self) -> int:
        """Slots that there are."""
        return self._slots.rules.total

    @property
    def resting(self) -> int:
        """Items that pause before they may start, or start again."""
        return len(self._resting)

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing rests."""
        return not self._resting and not any(self._counts.values())

    def oldest_wait(self, now: float) -> dict[Lane, float]:
        """Seconds since the item that has waited longest in each lane was accepted.

        0 where nothing waits. What rests, or has not been read from its partition yet, does not
        count.
        """
        waits: dict[Lane, float] = {}
        for lane in LANES:
            if not self._counts[lane]:
                waits[lane] = 0.0
                continue
            oldest = [queue.oldest for queue in self._queues_of(lane)]
            arrived = [item.arrived_at for item in oldest if item is not None]
            waits[lane] = max(0.0, now - min(arrived, default=now))
        return waits

    @property
    def share_of(self) -> Callable[[str], float]:
        """What says a tenant's share."""
        return self._share_of

    def use(self, share_of: Callable[[str], float]) -> None:
        """Other shares, for each tenant from its next start on. Any thread may say so."""
        self._share_of = share_of
        for queue in (self._pressing, *self._queues.values()):
            queue.use(share_of)

    def resize(self, slots: int) -> None:
        """So many slots from now on; what runs is left to end."""
        self._slots.resize(replace(self._slots.rules, total=slots))

    def add(self, item: T, now: float) -> None:
        """Take in a new item; it rests first when it may not start yet."""
        self._weights[item.lane] += item.weight
        if item.deadline is not None:
            self._deadlines.add(item.deadline, item)
        if item.not_before is not None and item.not_before > now:
            self._rest(item, item.not_before)
        else:
            self._queue(item, now)

    def next(self, may_start: Callable[[T], bool] | None = None) -> T | None:
        """The item that gets a slot now, which it then holds until `ended`; None when none may.

        `may_start` is asked for one item of each model in each lane that has a free slot.
        """
        waiting: dict[Lane, int] = self._counts
        presses = len(self._pressing) > 0
        while (lane := self._slots.next_lane(waiting, batch_presses=presses)) is not None:
            pressing = presses and lane == "batch"
            queue = self._pressing if pressing else self._queues[lane]
            item = queue.take(may_start)
            if item is not None:
                self._counts[lane] -= 1
                self._weights[lane] -= item.weight
                self._slots.started(lane)
                return item
            if pressing:
                presses = False
            else:
                waiting = {**waiting, lane: 0}
        return None

    def beside(self, item: T) -> None:
        """An item that has a slot takes another one; each is given back by `ended`."""
        self._slots.started(item.lane)

    def ended(self, item: T) -> None:
        """The item gives its slot back."""
        self._slots.ended(item.lane)

    def rest(self, item: T, until: float) -> None:
        """An item that had a slot, and gave it back, may start again from `until` on."""
        self._weights[item.lane] += item.weight
        if item.deadline is not None:
            self._deadlines.add(item.deadline, item)
        self._rest(item, until)

    def wake(self, now: float) -> list[T]:
        """Let those wait again whose rest is over, and return them; let those press that must."""
        woken: list[T] = []
        while (due := self._rests.due(now)) is not None:
            until, item = due
            if self._resting.get(item) == until:
                del self._resting[item]
                self._queue(item, now)
                woken.append(item)
        while (due := self._presses.due(now)) is not None:
            item = due[1]
            if self._queues["batch"].remove(item):
                self._pressing.add(item, item.deadline or 0.0)
        return woken

    def take_expired(self, now: float, most: int) -> list[T]:
        """Remove and return items whose deadline has come while they waited or rested."""
        expired: list[T] = []
        self._sweep()
        while len(expired) < most and (due := self._deadlines.due(now)) is not None:
            if self.remove(due[1]):
                expired.append(due[1])
        return expired

    def next_change(self) -> float | None:
        """When a rest or a deadline ends next, or an item presses (it may prove to be gone)."""
        first: float | None = None
        for alarms in (self._rests, self._deadlines, self._presses):
            at = alarms.first_at
            if at is not None and (first is None or at < first):
                first = at
        return first

    def remove(self, item: T) -> bool:
        """Take a waiting or resting item out; False when it was neither."""
        if self._resting.pop(item, None) is None:
            if not any(queue.remove(item) for queue in self._queues_of(item.lane)):
                return False
            self._counts[item.lane] -= 1
        self._weights[item.lane] -= item.weight
        self._sweep()
        return True

    def drop(self, gone: Callable[[T], bool]) -> list[T]:
        """Take out all waiting and resting items that are `gone`, and return them."""
        dropped = [item for item in self.held() if gone(item)]
        for item in dropped:
            self.remove(item)
        return dropped

    def holds(self, item: T) -> bool:
        """Whether the item waits or rests here."""
        return item in self._resting or any(item in one for one in self._queues_of(item.lane))

    def rests(self, item: T) -> bool:
        """Whether the item rests."""
        return item in self._resting

    def held(self) -> Iterator[T]:
        """Every waiting and resting item, lane by lane; collect before changing."""
        for lane in LANES:
            yield from self.waiting_in(lane)
        yield from self._resting

    def waiting_in(self, lane: Lane) -> Iterator[T]:
        """Every item that waits for a slot in a lane, first come first; collect before changing."""
        return chain.from_iterable(self._queues_of(lane))

    def _queues_of(self, lane: Lane) -> tuple[FairQueue[T], ...]:
        if lane == "batch":
            return self._pressing, self._queues["batch"]
        return (self._queues[lane],)

    def _rest(self, item: T, until: float) -> None:
        self._resting[item] = until
        self._rests.add(until, item)

    def _queue(self, item: T, now: float) -> None:
        self._counts[item.lane] += 1
        if item.lane == "batch" and item.deadline is not None:
            left = item.deadline - now
            presses_at = item.deadline - max(LEAST_LEAD_S, LEAD_SHARE * left)
            if presses_at <= now:
                self._pressing.add(item, item.deadline)
                return
            self._presses.add(presses_at, item)
        self._queues[item.lane].add(item, key_of(item, now))

    def _sweep(self) -> None:
        """Let go of what is gone now and then: a lane that starts nothing would keep it all."""
        resting, held = self._resting, sum(self._counts.values()) + len(self._resting)
        self._rests.sweep(len(resting), lambda at, item: resting.get(item) == at)
        self._deadlines.sweep(held, lambda _, item: self.holds(item))
        batch = self._queues["batch"]
        self._presses.sweep(len(batch), lambda _, item: item in batch)
