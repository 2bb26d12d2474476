"""Blocking calls that may never return, made on a thread that can be given up.

librdkafka's `send_offsets_to_transaction` does not keep its own time-out: after the broker that
coordinates the group has gone and come back, it can wait for ever (librdkafka issues 5456 and 5511,
open as of 2.16.1). Nothing can wake that call, so whoever waits for it has to be able to leave.
"""

import queue
import threading
from collections.abc import Callable


class StuckCallError(Exception):
    """The call has not returned by its deadline; its thread is given up."""


class BoundedCalls:
    """One daemon thread that makes the calls of one owner, in turn.

    After a StuckCallError this object is of no use; `is_stuck` says whether the call still waits.
    """

    def __init__(self, name: str) -> None:
        self._asked: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._answers: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def is_stuck(self) -> bool:
        """Whether its thread has not ended."""
        return self._thread.is_alive()

    def call(self, act: Callable[[], object], deadline_s: float) -> None:
        """Make the call and wait for its end; raises what it raised, or StuckCallError."""
        self._asked.put(act)
        try:
            error = self._answers.get(timeout=deadline_s)
        except queue.Empty:
            self.close()
            raise StuckCallError from None
        if error is not None:
            raise error

    def close(self) -> None:
        """End the thread once the call under way, if any, has returned."""
        self._asked.put(None)

    def _run(self) -> None:
        while (act := self._asked.get()) is not None:
            raised: Exception | None = None
            try:
                act()
            except Exception as error:  # noqa: BLE001 - the caller's, who gets it
                raised = error
            # What the call held on to (a whole producer) is not kept while this thread waits.
            del act
            self._answers.put(raised)
