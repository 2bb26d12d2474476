"""The transactional writer: units in, committed transactions out, on a thread of its own.

          submit                 pacing              group_commit
  owner ─────────► unit_queue ──────────► one group ─────────────► committed ──► on_committed
                        ▲                     │
                        └── aborted, rejoin ──┤
                        └── unknown: recovery ┘

Every unit that was submitted ends committed, or stale (its partition was taken from us and its
record is read again by the new owner). None is ever dropped otherwise, and none is committed twice.
"""

import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from broker.core.pacing import Pacing
from broker.log.group_commit import Ended, GroupCommit
from broker.log.group_fence import FenceSource
from broker.log.progress_book import ProgressBook
from broker.log.recovery import Observer, Recovery, Replace
from broker.log.unit_queue import UnitQueue
from broker.log.units import Unit
from broker.records.errors import WeighbridgeError
from broker.telemetry.logs import get_logger

_NOTHING_RAN: Final = frozenset({"not_joined", "stale", "full"})

OnCommitted = Callable[[Sequence[Unit]], None]
OnFailed = Callable[[BaseException], None]


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
        replace: Replace | None = None,
    ) -> None:
        self._commit = GroupCommit(
            client,
            group=group,
            transactional_id=transactional_id,
            progress=progress,
            fence=fence,
        )
        self._queue = UnitQueue(progress, pacing, max_pending)
        self._recovery = Recovery(
            self._commit,
            self._queue,
            fence,
            transactional_id=transactional_id,
            observer=observer,
            replace=replace,
        )
        self._on_committed = on_committed
        self._on_failed = on_failed
        self._observer = observer
        self._log = get_logger(writer=transactional_id)
        self._thread = threading.Thread(target=self._run, name="transactions", daemon=True)

    @property
    def room(self) -> int:
        """Units that may be submitted now."""
        return self._queue.room

    @property
    def pending(self) -> int:
        """Units submitted and not settled."""
        return self._queue.pending

    def start(self) -> None:
        """Begin; what an earlier process of this slot left open is ended first."""
        self._thread.start()

    def submit(self, units: Sequence[Unit]) -> None:
        """Hand over units. It never blocks: the caller asks for `room` before."""
        self._queue.submit(units)

    def flush(
        self, deadline_s: float, partitions: Collection[tuple[str, int]] | None = None
    ) -> bool:
        """Wait until what is pending (of these partitions) is settled; False when not in time."""
        return self._queue.flush(deadline_s, partitions)

    def close(self, deadline_s: float) -> bool:
        """End the thread; what is pending stays uncommitted. False when it did not end in time."""
        self._queue.close()
        if self._thread.ident is None:
            self._queue.end()
            return True
        self._thread.join(deadline_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._recovery.open()
            while (units := self._queue.next_group()) is not None:
                self._settle(units)
        except WeighbridgeError as error:
            self._on_failed(error)
        except Exception as error:  # noqa: BLE001 - a thread's end must be told, whatever ended it
            self._log.exception("writer_failed")
            self._on_failed(error)
        finally:
            self._queue.end()
            self._commit.close()

    def _settle(self, units: Sequence[Unit]) -> None:
        began = time.monotonic()
        first = self._commit.commit(units)
        ended = self._recovery.known(units, first)
        if first.how not in _NOTHING_RAN:
            seconds = time.monotonic() - began
            self._queue.lasted(began, seconds)
            self._observer.transaction_ended(_outcome(first, ended), seconds, len(ended.done))
        self._queue.give_back(ended.again, ended.held)
        if ended.done:
            self._on_committed(ended.done)
        self._recovery.before_next(ended)


def _outcome(first: Ended, ended: Ended) -> str:
    """For the counter: an unknown outcome counts as what it turned out to be."""
    return ended.how if first.how == "unknown" else first.how
