"""What this worker's calls take, how wrong the expectations of them are, and which are overdue."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, Protocol

from broker.core.expected_time import Lateness, ServiceTimes, call_seconds
from broker.core.lanes import LANES, Lane
from broker.core.routing import Decision
from workers.job import Job

_OVERDUE: Final = 2.0
_OVERDUE_S: Final = 1.0
"""A call under way for twice its time and a second more is overdue: its like may be slow now."""
_LOOK_S: Final = 0.5


class MovesHeard(Protocol):
    """Who is told of jobs that change their provider."""

    def came(self, job: Job) -> None:
        """One has come here that was another's."""

    def left(self, job: Job, to: Decision, now: float) -> None:
        """One goes from here to another, at `now` (unix seconds)."""


class _Nobody:
    def came(self, job: Job) -> None:
        pass

    def left(self, job: Job, to: Decision, now: float) -> None:
        pass


class Expectations:
    """Learns from the calls of one provider's worker. Used on the event loop."""

    def __init__(self) -> None:
        self._times = ServiceTimes()
        self._late = Lateness()
        self._lines: dict[str, tuple[float, float]] | None = None
        self._under_way: dict[Job, float] = {}
        self.started: dict[Lane, float] = dict.fromkeys(LANES, 0.0)
        """Token units that have been called for so far, by lane."""
        self._overdue = (0.0, 0.0)
        self._looked_at = 0.0
        self.moves: MovesHeard = _Nobody()

    def began(self, job: Job, now: float) -> None:
        """A call of the job goes out at `now`, unix seconds."""
        self._under_way[job] = now
        self.started[job.lane] += job.work.weight

    def over(self, job: Job) -> None:
        """It has ended, in whatever way."""
        self._under_way.pop(job, None)

    def under_way(self) -> Iterator[tuple[Job, float]]:
        """The calls under way, with when each began (unix seconds), the oldest first."""
        return iter(self._under_way.items())

    def answered(self, job: Job, seconds: float, output_tokens: int | None, now: float) -> None:
        """Its call was answered after so many seconds, with so many tokens."""
        work = job.work
        self._times.measured(work.model, output_tokens or 0, seconds)
        self._lines = None
        step = work.route[-1]
        told = _told(step.candidates, step.provider)
        if told is not None:
            since = max(step.at, work.not_before or 0.0)
            self._late.met(job.lane, told, now - since, now)

    def lines(self) -> dict[str, tuple[float, float]]:
        """What calls take, by model, as `broker.core.expected_time` says it."""
        if self._lines is None:
            self._lines = {
                model: (round(first, 4), round(each, 6))
                for model, (first, each) in self._times.lines().items()
            }
        return self._lines

    def late(self, now: float) -> dict[str, float]:
        """Real over expected time by lane, of late."""
        return self._late.factors(now)

    def overdue(self, now: float) -> tuple[float, float]:
        """How many calls should long have ended, and their token units a second so far, together.

        Calls that hang speak before they end, and else would be thought as quick as those before.
        """
        if 0 <= now - self._looked_at < _LOOK_S:
            return self._overdue
        self._looked_at = now
        lines = self.lines()
        count = speed = 0.0
        for job, began in self._under_way.items():
            work, age = job.work, now - began
            should = call_seconds(lines, work.model, work.expected_output_tokens)
            if should is not None and age > _OVERDUE * should + _OVERDUE_S:
                count += 1
                speed += work.weight / age
        self._overdue = (count, speed)
        return self._overdue


def _told(candidates: tuple[Mapping[str, Any], ...], provider: str) -> float | None:
    """What was expected of this provider when it was chosen, without its correction."""
    for note in candidates:
        if note.get("provider") == provider:
            time_s, late = note.get("time_s"), note.get("late", 1.0)
            if isinstance(time_s, int | float) and isinstance(late, int | float) and late > 0:
                return float(time_s / late)
    return None
