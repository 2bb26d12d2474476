"""Which lane the next free slot goes to.

A share of the slots is kept for light prompts: the others together never hold more than the rest.
Of that rest, every lane has a fair share by its points (at equal use, the one that started longest
ago goes first); what a lane does not use, others may, and it gets it back as calls end. Batch takes
only what no other lane waits for, except that it too gets a slot now and then: it may wait long,
but never for ever. While something of it has to start because of its deadline, batch has a share
like the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Final

from broker.core.lanes import LANES, Lane

_POINTS: Final[tuple[tuple[Lane, int], ...]] = (("heavy", 3), ("medium", 3), ("light", 4))
"""How the open slots are shared between lanes that all wait."""
_BATCH_POINTS: Final[tuple[Lane, int]] = ("batch", 3)
"""Of batch, while something of it has to start."""
_WITH_BATCH: Final = (*_POINTS, _BATCH_POINTS)


@dataclass(frozen=True, slots=True)
class SlotRules:
    """How slots are shared. `total` is the number of calls that may run at once."""

    total: int
    light_share: float = 0.25
    """Share of the slots that only light prompts may use; at least one slot when there are two."""
    batch_every: int = 20
    """While others wait, one of so many starts in open slots is a batch one; at most one of so many
    slots, and at least one, are taken by batch in this way."""

    def __post_init__(self) -> None:
        if self.total < 1 or not 0 <= self.light_share < 1 or self.batch_every < 1:
            raise ValueError(f"these slot rules cannot work: {self}")

    @property
    def kept_for_light(self) -> int:
        """Slots that only light prompts may use; one is always open to all."""
        if not self.light_share:
            return 0
        return min(self.total - 1, max(1, ceil(self.total * self.light_share)))


def least_slots(rules: SlotRules, lane: Lane) -> int:
    """Slots that a lane in which enough waits holds whatever waits in the others.

    Not before the calls of other lanes that run beyond their own share have ended; batch only while
    something of it presses. Where it is 0, there are too few open slots for one each: then they
    take turns, and a lane has a slot after one start of each other lane at the most.
    """
    points = dict(_WITH_BATCH)
    kept = rules.kept_for_light if lane == "light" else 0
    opened = rules.total - rules.kept_for_light
    return kept + opened * points[lane] // sum(points.values())


class SlotSharing:
    """Hands out slots. Not thread-safe; says nothing about the order inside a lane."""

    __slots__ = (
        "_busy",
        "_kept",
        "_last_start",
        "_others",
        "_rules",
        "_running",
        "_since_batch",
        "_starts",
    )

    def __init__(self, rules: SlotRules) -> None:
        self._rules = rules
        self._kept = rules.kept_for_light
        self._running: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self._busy = 0
        self._others = 0  # running that are not light
        self._since_batch = 0
        self._starts = 0
        self._last_start: dict[Lane, int] = dict.fromkeys(LANES, 0)

    @property
    def rules(self) -> SlotRules:
        """The rules in force."""
        return self._rules

    @property
    def running(self) -> Mapping[Lane, int]:
        """Calls that run now, by lane."""
        return self._running

    @property
    def busy(self) -> int:
        """Slots in use; more than there are for a while after `resize` made them fewer."""
        return self._busy

    @property
    def free(self) -> int:
        """Slots nobody uses."""
        return max(0, self._rules.total - self._busy)

    def resize(self, rules: SlotRules) -> None:
        """Other rules from now on; calls that run are left to end."""
        self._rules = rules
        self._kept = rules.kept_for_light

    def next_lane(self, waiting: Mapping[Lane, int], *, batch_presses: bool = False) -> Lane | None:
        """The lane whose next prompt starts now, given how many wait in each, or None.

        None while anything waits means: no slot is free that the waiting ones may use.
        `batch_presses` says that something of batch has to start because of its deadline.
        """
        total, kept_for_light, running = self._rules.total, self._kept, self._running
        light_waits = bool(waiting.get("light"))
        # Others may hold more than their part while a smaller limit is new: light has its own.
        own = self._busy < total or self._others > total - kept_for_light
        if light_waits and own and running["light"] < kept_for_light:
            return "light"
        if self._busy >= total:
            return None
        if self._others >= total - kept_for_light:
            return "light" if light_waits else None
        if waiting.get("batch") and self._batch_is_due():
            return "batch"
        best: Lane | None = None
        least = (0.0, 0)
        for lane, points in _WITH_BATCH if batch_presses else _POINTS:
            if not waiting.get(lane):
                continue
            kept = kept_for_light if lane == "light" else 0
            load = ((running[lane] - kept) / points, self._last_start[lane])
            if best is None or load < least:
                best, least = lane, load
        if best is not None:
            return best
        return "batch" if waiting.get("batch") else None

    def started(self, lane: Lane) -> None:
        """A prompt of this lane took a slot."""
        if lane != "light":
            self._others += 1
        if lane == "batch":
            self._since_batch = 0
        elif lane != "light" or self._running["light"] >= self._kept:
            self._since_batch += 1  # starts in the light share take nothing from batch
        self._running[lane] += 1
        self._busy += 1
        self._starts += 1
        self._last_start[lane] = self._starts

    def ended(self, lane: Lane) -> None:
        """It gave the slot back."""
        if not self._running[lane]:
            raise ValueError(f"no {lane} prompt is running")
        self._running[lane] -= 1
        self._busy -= 1
        if lane != "light":
            self._others -= 1

    def _batch_is_due(self) -> bool:
        rules = self._rules
        allowed = max(1, rules.total // rules.batch_every)
        return self._since_batch >= rules.batch_every - 1 and self._running["batch"] < allowed
