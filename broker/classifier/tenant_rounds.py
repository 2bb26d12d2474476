"""Writing the totals of tenants, round by round, a few at a time so that no prompt waits for it.

A round begins with the tenants whose lines were read since the last one. When all of them are
written, their totals and the older ones cover the ledger up to where it was read at its beginning.
"""

import asyncio
from collections import deque
from typing import Final

from broker.classifier.tenant_books import TenantBooks
from broker.log.tenant_totals import TotalsWriter
from broker.records.tenants import EVERYONE, Totals

EVERY_S: Final = 30.0
COVERED_S: Final = 600.0
"""A start reads at least so much of the ledger: the last minute, for prompts that were to wait up
to five, and what another classifier may have overwritten with totals of some seconds before."""
_AT_ONCE: Final = 500


class TotalsRounds:
    """The rounds of one classifier. On the event loop."""

    def __init__(self, books: TenantBooks, writer: TotalsWriter, now: float) -> None:
        self._books = books
        self._writer = writer
        self._began = now
        self._position = 0
        self._left: list[str] = []
        self._runs = self._failed = False
        self._done: deque[tuple[float, int]] = deque()
        self.writing: asyncio.Future[bool] | None = None
        """The write under way, or the last one."""

    def beat(self, now: float) -> None:
        """Go on; to be called about twice a second by who has the first partition."""
        if self.writing is not None and not self.writing.done():
            return
        if not self._runs:
            if now - self._began < EVERY_S:
                return
            self._began, self._position = now, self._books.position
            self._left, self._runs, self._failed = self._books.take_changed(), True, False
        taken, self._left = self._left[:_AT_ONCE], self._left[_AT_ONCE:]
        totals = list(self._books.totals(taken, now))
        last = not self._left
        covered = self._covered(now) if last else None
        loop = asyncio.get_running_loop()
        self.writing = loop.run_in_executor(None, self._writer.write, totals, covered)
        self.writing.add_done_callback(lambda done: self._written(taken, done, last=last))

    def _covered(self, now: float) -> Totals | None:
        """How far a round reached that ended long enough ago."""
        done = self._done
        while len(done) > 1 and done[1][0] <= now - COVERED_S:
            done.popleft()
        if not done or done[0][0] > now - COVERED_S or self._failed:
            return None
        at, position = done[0]
        return Totals(EVERYONE, position, at)

    def _written(self, taken: list[str], done: "asyncio.Future[bool]", *, last: bool) -> None:
        if done.cancelled() or done.exception() is not None or not done.result():
            self._books.changed.update(taken)
            self._failed = True
        if last:
            self._runs = False
            if not self._failed:
                self._done.append((self._began, self._position))
