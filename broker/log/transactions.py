"""The transactional writer: units in, committed transactions out, on a thread of its own.

          submit                 pacing              group_commit
  owner ─────────► pending units ───────► one group ─────────────► committed ──► on_committed
                        ▲                     │
                        └── aborted, rejoin ──┤
                        └── unknown: resolve ─┘

Every unit that was submitted ends committed, or stale (its partition was taken from us and its
record is read again by the new owner). None is ever dropped otherwise, and none is committed twice.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from broker.core.pacing import Arrivals, Pacing
from broker.log.group_commit import Ended, GroupCommit
from broker.log.group_fence import FenceSource
from broker.log.progress_book import ProgressBook
from broker.log.transactional_producer import TransactionError
from broker.log.units import Unit
from broker.records.errors import NotReadyError, WeighbridgeError
from broker.telemetry.logs import get_logger

MOST_UNITS: Final = 2_000
MOST_BYTES: Final = 16 * 1024 * 1024
"""Bounds of one transaction; it ends well before its time-out even on a slow broker."""
_IDLE_S: Final = 0.5
_REJOIN_S: Final = 0.5
_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0
_FENCED_MOST: Final = 4
_FENCED_WITHIN_S: Final = 60.0

OnCommitted = Callable[[Sequence[Unit]], None]
OnFailed = Callable[[BaseException], None]


class Observer(Protocol):
    """Who counts transactions; called on the writer's thread."""

    def transaction_ended(self, outcome: str, seconds: float, units: int) -> None:
        """One transaction took so long and settled so many input records."""

    def writer_recovered(self, why: str) -> None:
        """A producer was made anew, or a unit was replaced."""


class TransactionalWriter:
    """Commits what it is given. `submit`, `room` and `flush` may be called from any thread.

    `on_committed` is told, on the writer's thread, which units are settled. `on_failed` is told of
    what only a new process can mend; nothing is committed after it. `replace` makes another unit of
    one whose record the broker refuses for its size; without it such a record is a failure.
    """

    def __init__(
        self,
        *,
        client: Mapping[str, Any],
        group: str,
        transactional_id: str,
        progress: ProgressBook,
        fence: FenceSource,
        pacing: Pacing,
        on_committed: OnCommitted,
        on_failed: OnFailed,
        max_pending: int,
        observer: Observer,
        replace: Callable[[Unit], Unit] | None = None,
    ) -> None:
        self._commit = GroupCommit(
            client,
            group=group,
            transactional_id=transactional_id,
            progress=progress,
            fence=fence,
        )
        self._id = transactional_id
        self._progress = progress
        self._fence = fence
        self._pacing = pacing
        self._on_committed = on_committed
        self._on_failed = on_failed
        self._observer = observer
        self._replace = replace
        self._max_pending = max_pending
        self._arrivals = Arrivals()
        self._changed = threading.Condition()
        self._pending: deque[Unit] = deque()
        self._in_hand: Sequence[Unit] = ()
        self._flushing = 0
        self._closing = False
        self._singly = 0
        self._last_began = 0.0
        self._last_duration = 0.0
        self._pause_s = 0.0
        self._fenced: deque[float] = deque()
        self._log = get_logger(writer=transactional_id)
        self._thread = threading.Thread(target=self._run, name="transactions", daemon=True)

    @property
    def room(self) -> int:
        """Units that may be submitted now."""
        return self._max_pending - self.pending

    @property
    def pending(self) -> int:
        """Units submitted and not settled."""
        return len(self._pending) + len(self._in_hand)

    def start(self) -> None:
        """Begin; what an earlier process of this slot left open is ended first."""
        self._thread.start()

    def submit(self, units: Sequence[Unit]) -> None:
        """Hand over units. It never blocks: the caller asks for `room` before."""
        with self._changed:
            self._pending.extend(units)
            self._arrivals.arrived(time.monotonic(), len(units))
            self._changed.notify_all()

    def flush(
        self, deadline_s: float, partitions: Collection[tuple[str, int]] | None = None
    ) -> bool:
        """Wait until what is pending (of these partitions) is settled; False when not in time."""
        ends = time.monotonic() + deadline_s
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            try:
                while self._holds(partitions):
                    left = ends - time.monotonic()
                    if left <= 0 or not self._thread.is_alive():
                        return False
                    self._changed.wait(left)
                return True
            finally:
                self._flushing -= 1

    def _holds(self, partitions: Collection[tuple[str, int]] | None) -> bool:
        held: Iterable[Unit] = (*self._in_hand, *self._pending)
        if partitions is not None:
            held = (unit for unit in held if (unit.topic, unit.partition) in partitions)
        return bool(self._progress.live(held))

    def close(self, deadline_s: float) -> bool:
        """End the thread; what is pending stays uncommitted. False when it did not end in time."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        if self._thread.ident is None:
            return True
        self._thread.join(deadline_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._open()
            while (units := self._next_group()) is not None:
                if units:
                    self._settle(units)
            self._commit.close()
        except WeighbridgeError as error:
            self._on_failed(error)
        except Exception as error:  # noqa: BLE001 - a thread's end must be told, whatever ended it
            self._log.exception("writer_failed")
            self._on_failed(error)
        finally:
            with self._changed:
                self._changed.notify_all()

    def _open(self) -> None:
        while not self._closing:
            try:
                self._commit.open()
            except TransactionError as error:
                self._note_fenced(error)
                self._log.warning("transactions_not_open", step=error.step, why=error.name)
                self._rest()
            else:
                self._pause_s = 0.0
                return

    def _next_group(self) -> Sequence[Unit] | None:
        """Wait until a transaction is due, and take its units; None at the end."""
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                due = self._due(now)
                if due <= now:
                    return self._take()
                self._changed.wait(min(due - now, _IDLE_S))
            return None

    def _due(self, now: float) -> float:
        if self._pending and self._flushing:
            return now
        return self._pacing.next_begin(
            now,
            self._last_began,
            pending=len(self._pending),
            rate=self._arrivals.rate(now),
            last_duration=self._last_duration,
        )

    def _take(self) -> Sequence[Unit]:
        most = 1 if self._singly else MOST_UNITS
        taken: list[Unit] = []
        size = 0
        while self._pending and len(taken) < most and size < MOST_BYTES:
            unit = self._pending.popleft()
            size += sum(len(output.value or b"") for output in unit.outputs)
            taken.append(unit)
        self._in_hand = taken
        return taken

    def _settle(self, units: Sequence[Unit]) -> None:
        began = time.monotonic()
        ended = self._commit.commit(units)
        if ended.how == "unknown":
            ended = self._resolved(ended)
        now = time.monotonic()
        if ended.how not in ("not_joined", "stale", "full"):
            self._last_began, self._last_duration = began, now - began
            self._observer.transaction_ended(ended.how, now - began, len(ended.done))
        if ended.how == "committed":
            self._pause_s = 0.0
            self._singly = max(0, self._singly - len(units))
        elif ended.how == "refused":
            ended = self._apart(units, ended)
        self._let_go(ended)
        self._after(ended)

    def _let_go(self, ended: Ended) -> None:
        with self._changed:
            self._pending.extendleft(reversed(self._progress.live(ended.again)))
            self._in_hand = ()
            self._changed.notify_all()
        if ended.done:
            self._on_committed(ended.done)

    def _after(self, ended: Ended) -> None:
        """What has to happen before the next transaction."""
        if ended.how == "not_joined":
            self._fence.wait_newer(None, _REJOIN_S)
        elif ended.how == "rejoin":
            self._log.info("membership_refused", why=_name(ended))
            self._fence.wait_newer(ended.membership, _REJOIN_S)
        elif ended.how == "full":
            with self._changed:
                # Only what is submitted from now on can move the base.
                self._changed.wait(_LONGEST_PAUSE_S)
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
        while not self._closing:
            try:
                found = self._commit.resolve(ended.again)
            except TransactionError as error:
                self._note_fenced(error)
                self._log.warning("commit_still_unknown", step=error.step, why=error.name)
            except WeighbridgeError as error:
                self._log.warning("commit_still_unknown", why=error.code)
            else:
                self._log.info("commit_known", done=len(found.done), again=len(found.again))
                return found
            self._rest()
        return Ended("stale")  # the process ends; whoever reads on finds out from the offsets

    def _apart(self, units: Sequence[Unit], ended: Ended) -> Ended:
        """Some record was refused: commit one by one, until the unit is found and replaced."""
        if len(units) > 1:
            self._singly = len(units)
            return ended
        unit = units[0]
        if not self._commit.is_too_large(unit):
            return Ended("aborted", again=ended.again, error=ended.error)
        topics = ", ".join(sorted({output.topic for output in unit.outputs}))
        if self._replace is None:
            raise WeighbridgeError(
                f"A record for {topics} that came of {unit.topic}[{unit.partition}]@{unit.offset} "
                "is larger than the broker takes.",
                mend="Start again: limits are read anew. If it repeats, run `weighbridge topics "
                "apply`.",
                code="record_too_large",
            )
        self._log.warning("record_too_large", topics=topics, offset=unit.offset)
        self._observer.writer_recovered("record_too_large")
        return Ended("refused", again=(self._replace(unit),))

    def _rest(self) -> None:
        """Wait before the broker is asked again, each time longer; a close ends it."""
        self._pause_s = min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, self._pause_s * 2))
        with self._changed:
            if not self._closing:
                self._changed.wait_for(lambda: self._closing, self._pause_s)

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
