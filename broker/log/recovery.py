"""What follows a transaction that was not committed, until its units are done or due again."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from broker.log.group_commit import Ended, GroupCommit
from broker.log.group_fence import FenceSource
from broker.log.transactional_producer import TransactionError
from broker.log.unit_queue import UnitQueue
from broker.log.units import Unit
from broker.records.errors import NotReadyError, WeighbridgeError
from broker.telemetry.logs import get_logger

_REJOIN_S: Final = 0.5
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0
_FENCED_MOST: Final = 4
_FENCED_WITHIN_S: Final = 60.0

Replace = Callable[[Unit], Unit]


class Observer(Protocol):
    """Who counts transactions; called on the writer's thread."""

    def transaction_ended(self, outcome: str, seconds: float, units: int) -> None:
        """One transaction took so long and settled so many input records."""

    def writer_recovered(self, why: str) -> None:
        """A producer was made anew, or a unit was replaced."""


class Recovery:
    """Of one writer, on its thread. Raises WeighbridgeError for what only a new process mends."""

    def __init__(
        self,
        commit: GroupCommit,
        queue: UnitQueue,
        fence: FenceSource,
        *,
        transactional_id: str,
        observer: Observer,
        replace: Replace | None,
    ) -> None:
        self._commit = commit
        self._queue = queue
        self._fence = fence
        self._id = transactional_id
        self._observer = observer
        self._replace = replace
        self._replaced: set[tuple[str, int, int, int]] = set()
        self._pause_s = 0.0
        self._fenced: deque[float] = deque()
        self._log = get_logger(writer=transactional_id)

    def open(self) -> None:
        """Take the transactional ids over, however long it takes; a close ends it."""
        while not self._queue.closing:
            try:
                self._commit.open()
            except TransactionError as error:
                self._note_fenced(error)
                self._log.warning("transactions_not_open", step=error.step, why=error.name)
                self._rest()
            else:
                self._pause_s = 0.0
                return

    def known(self, units: Sequence[Unit], ended: Ended) -> Ended:
        """What became of the units of a transaction, found out where its end does not say."""
        if ended.how == "unknown":
            return self._resolved(ended)
        if ended.how == "refused":
            return self._refused(units, ended)
        return ended

    def before_next(self, ended: Ended) -> None:
        """What has to happen before another transaction begins."""
        if ended.how == "committed":
            self._pause_s = 0.0
            self._replaced.clear()
            self._queue.larger_groups()
        elif ended.how == "not_joined":
            self._fence.wait_newer(None, _REJOIN_S)
        elif ended.how == "rejoin":
            self._log.info("membership_refused", why=_name(ended))
            self._fence.wait_newer(ended.membership, _REJOIN_S)
        elif ended.how == "full":
            # Only a unit that is not among these can move the base.
            self._queue.wait_for_more(len(ended.held), _LONGEST_PAUSE_S)
        elif ended.how == "aborted":
            self._note_fenced(ended.error)
            self._observer.writer_recovered(_name(ended))
            self._log.warning("transaction_aborted", why=_name(ended), again=len(ended.again))
            self._rest()

    def _resolved(self, ended: Ended) -> Ended:
        """Find out what became of a commit without an answer; until then nothing else begins."""
        self._log.warning("commit_unknown", why=_name(ended), units=len(ended.again))
        self._observer.writer_recovered(_name(ended))
        self._note_fenced(ended.error)
        while not self._queue.closing:
            try:
                found = self._commit.resolve(ended.again)
            except TransactionError as error:
                self._note_fenced(error)
                self._log.warning("commit_still_unknown", step=error.step, why=error.name)
            except WeighbridgeError as error:
                self._log.warning("commit_still_unknown", why=error.code)
            else:
                self._log.info("commit_known", done=len(found.done), again=len(found.again))
                return replace(found, held=ended.held)
            self._rest()
        return ended  # whoever reads on finds out from the offsets

    def _refused(self, units: Sequence[Unit], ended: Ended) -> Ended:
        """Some record was refused: commit ever smaller groups, until it is found and replaced."""
        if len(units) > 1:
            self._queue.smaller_groups(len(units))
            return ended
        unit = units[0]
        try:
            too_large = self._commit.is_too_large(unit)
        except TransactionError as error:
            return Ended("aborted", again=ended.again, error=error)
        if not too_large:
            return Ended("aborted", again=ended.again, error=ended.error)
        topics = ", ".join(sorted({output.topic for output in unit.outputs}))
        place = unit.topic, unit.partition, unit.offset, unit.epoch
        if self._replace is None or place in self._replaced:
            raise WeighbridgeError(
                f"A record for {topics} that came of {unit.topic}[{unit.partition}]@{unit.offset} "
                "is larger than the broker takes.",
                mend="Start again: limits are read anew. If it repeats, run `weighbridge topics "
                "apply`.",
                code="record_too_large",
            )
        self._log.warning("record_too_large", topics=topics, offset=unit.offset)
        self._observer.writer_recovered("record_too_large")
        self._replaced.add(place)
        return Ended("refused", again=(self._replace(unit),))

    def _rest(self) -> None:
        """Wait before the broker is asked again, each time longer."""
        self._pause_s = min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, self._pause_s * 2))
        self._queue.rest(self._pause_s)

    def _note_fenced(self, error: TransactionError | None) -> None:
        """Being fenced once follows a long stop; again and again, somebody else has our id."""
        if error is None or not error.fenced:
            return
        now = time.monotonic()
        self._fenced.append(now)
        while now - self._fenced[0] > _FENCED_WITHIN_S:
            self._fenced.popleft()
        if len(self._fenced) >= _FENCED_MOST:
            raise NotReadyError(
                f"The transactions of {self._id} are fenced again and again: {error.name}.",
                mend="Does another process run with the same --slot? Each needs its own.",
                code="fenced",
            )


def _name(ended: Ended) -> str:
    return "" if ended.error is None else ended.error.name
