"""The lanes' thresholds in force: those of the newest change, for every classifier alike. Pure.

Whoever finds that a change is due writes it to the control topic, and follows it, as all do, once
it comes back from there. What was routed before a change stays in the lane it is in.
"""

from dataclasses import replace
from typing import Final

from broker.core.lane_fitting import Bounds, LaneFitting
from broker.core.lanes import LanePlan
from broker.records.lane_change import LaneChange

KEEP_S: Final = 6 * 3_600.0
"""A change this old is written again: the control topic forgets it after a day."""


class LanesInForce:
    """As one classifier knows them. It begins with `plan`. Not thread-safe."""

    def __init__(self, plan: LanePlan, fitting: LaneFitting) -> None:
        self._plan = plan
        self._fitting = fitting
        self._changed_at = 0.0

    @property
    def bounds(self) -> Bounds:
        """The thresholds."""
        return Bounds(self._plan.light_max, self._plan.heavy_min)

    def plan(self, now: float) -> LanePlan:
        """The thresholds, with the partitions of the plan that it began with."""
        del now
        return self._plan

    def began(self, weight: int, lane: str, at: float) -> None:
        """A prompt was called for the first time. Those of `batch` are in it by their priority."""
        if lane != "batch":
            self._fitting.saw(weight, at)

    def begin_at(self, bounds: Bounds) -> None:
        """Other thresholds to begin with: they are in force while no change is known of."""
        if not self._changed_at:
            self._plan = replace(self._plan, light_max=bounds.light_max, heavy_min=bounds.heavy_min)

    def follow(self, change: LaneChange, now: float) -> bool:
        """The next change in the order of the log is in force; False when it changes nothing."""
        old = self.bounds
        self._plan = replace(self._plan, light_max=change.light_max, heavy_min=change.heavy_min)
        # Of a clock that is ahead: the pause between changes must not become longer by it.
        self._changed_at = min(now, change.at)
        return self.bounds != old

    def due(self, now: float, by: str) -> LaneChange | None:
        """The change to be written now by `by`, if any: it is in force when it comes back."""
        old = self.bounds
        proposal = self._fitting.proposal(old, self._changed_at, now)
        if proposal is not None:
            new, why = proposal.new, proposal.why
        elif self._changed_at and now - self._changed_at > KEEP_S:
            new, why = old, "nothing to change; written again so that it is kept"
        else:
            return None
        # Not again before a minute has passed, whether it is heard of or not.
        self._changed_at = now
        return LaneChange(
            new.light_max, new.heavy_min, old.light_max, old.heavy_min, why, now, by=by
        )
