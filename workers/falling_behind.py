"""Work that waits at a provider that falls behind, and would be done sooner at another.

A lane is behind once work that came now would wait for twice the lane's limit, and until it would
wait for no more than the limit. Then its heaviest jobs are offered to the others, some at a look.
A job goes only where it would be done much sooner, and, as every move, never to a provider that it
was at, and no more often than the settings say: so moves end, and nothing goes back and forth.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from broker.core.candidates import Candidate
from broker.core.constraints import Constraint, asked_by
from broker.core.lanes import Lane
from broker.core.route_reasons import Reason
from broker.core.routing import Decision
from workers.ends import Move, is_able
from workers.job import Job
from workers.moving import Mover

LOOK_S: Final = 0.5
MOST_A_LOOK: Final = 100
BEHIND: Final = 2.0
"""Times a lane's wait limit."""
_SOONER: Final = 0.6
_SOONER_S: Final = 1.0
"""Elsewhere it must take no more than this share of the time, and be done so much earlier."""
_ORDER: Final[tuple[Lane, ...]] = ("heavy", "medium", "light", "batch")
_FEWEST_TRIED: Final = 3
"""After so many of one kind that nobody would do sooner, no more of that kind are asked for."""
_MOST_ASKED: Final = 3 * MOST_A_LOOK
_RESORTS: Final = (Reason.LEAST_WAIT, Reason.LEAST_LATE, Reason.PROBE)


class FallingBehind:
    """Chooses what moves. Used on the event loop."""

    def __init__(self, mover: Mover) -> None:
        self._mover = mover
        self._looked_at = 0.0
        self._behind: set[Lane] = set()

    def moves(
        self, waiting_in: Callable[[Lane], Iterable[Job]], now: float
    ) -> Iterator[tuple[Job, Move]]:
        """Jobs to be moved now, one at a time: each choice changes what the next one finds."""
        if not 0 <= now - self._looked_at < LOOK_S:
            self._looked_at = now
            left = MOST_A_LOOK
            for lane in _ORDER:
                for job, move in self._of(lane, waiting_in, left, now):
                    left -= 1
                    yield job, move

    def _of(
        self, lane: Lane, waiting_in: Callable[[Lane], Iterable[Job]], most: int, now: float
    ) -> Iterator[tuple[Job, Move]]:
        if self._wait(lane, now) is None:
            return
        nobody: Counter[tuple[str, str, str | None, Constraint]] = Counter()
        asked = 0
        for job in sorted(waiting_in(lane), key=_weight, reverse=True):
            work = job.work
            kind = (work.model, work.tenant, work.provider, asked_by(work.fields))
            if nobody[kind] >= _FEWEST_TRIED:
                continue
            here = self._wait(lane, now)
            if here is None or most <= 0 or asked >= _MOST_ASKED:
                return
            asked += 1
            move = self._sooner(job, here, now)
            if move is None:
                nobody[kind] += 1
                continue
            most -= 1
            yield job, move

    def _wait(self, lane: Lane, now: float) -> Candidate | None:
        """This worker's figures while the lane is behind, else None."""
        here = self._mover.here(lane, now)
        limit = self._mover.wait_limit(lane) * (1.0 if lane in self._behind else BEHIND)
        if here is None or here.wait_s <= limit:
            self._behind.discard(lane)
            return None
        self._behind.add(lane)
        return here

    def _sooner(self, job: Job, here: Candidate, now: float) -> Move | None:
        because = f"is behind with a wait of {here.wait_s:.1f} s"
        chosen = self._mover.choose(job, because, now, Reason.BEHIND)
        if not isinstance(chosen, Decision) or not is_able(chosen):
            return None
        request = chosen.request
        if chosen.reason in _RESORTS or request is None:
            return None
        there = next(one for one in chosen.candidates if one.provider == chosen.provider)
        stays, goes = request.time_s(here), request.time_s(there)
        if stays is None or goes is None:
            stays, goes = here.wait_s, there.wait_s
        much = goes <= _SOONER * stays and stays - goes >= _SOONER_S
        return Move(chosen) if much else None


def _weight(job: Job) -> int:
    return job.work.weight
