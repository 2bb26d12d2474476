"""What one router sent to each provider lately, so that a burst between reports is seen."""

from collections import deque
from typing import Final

from broker.core.lane_wait import PLACE
from broker.core.lanes import Lane

_GRAIN_S: Final = 0.05
_UNSEEN_S: Final = 0.1
"""A prompt this young may not have reached the worker yet when it reported."""


class OwnDecisions:
    """A ledger of some seconds: by provider, by lane, in grains of 50 ms."""

    __slots__ = ("_horizon_s", "_sent")

    def __init__(self, horizon_s: float = 30.0) -> None:
        self._horizon_s = horizon_s
        # Each grain: when, how many, and the weight of each lane.
        self._sent: dict[str, deque[list[float]]] = {}

    def sent(self, provider: str, weight: float, now: float, lane: Lane = "light") -> None:
        """Take note of a decision; a weight below zero is of work that leaves the provider."""
        queue = self._sent.setdefault(provider, deque())
        if not queue or now - queue[-1][0] >= _GRAIN_S:
            queue.append([now, 0, 0.0, 0.0, 0.0, 0.0])
            while queue[0][0] < now - self._horizon_s:
                queue.popleft()
        grain = queue[-1]
        grain[1] += 1 if weight > 0 else -1
        grain[2 + PLACE[lane]] += weight

    def by_lane(self, provider: str, reported_at: float) -> tuple[list[float], int]:
        """Weight by lane, and number of prompts, that a report of this time cannot have counted."""
        weights, count = [0.0, 0.0, 0.0, 0.0], 0
        for grain in reversed(self._sent.get(provider, ())):
            if grain[0] + _GRAIN_S < reported_at - _UNSEEN_S:
                break
            count += int(grain[1])
            for place in range(4):
                weights[place] += grain[2 + place]
        return weights, count

    def since(self, provider: str, reported_at: float) -> tuple[float, int]:
        """The same without the lanes."""
        weights, count = self.by_lane(provider, reported_at)
        return sum(weights), count
