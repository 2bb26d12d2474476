"""Bounded concurrency with a bounded queue, first come first served."""

import asyncio
import contextlib
from collections import deque


class QueueFullError(Exception):
    """Every slot is taken and the queue is full, or the wait for a slot took too long."""


class Slots:
    """`async with slots:` holds one. Of one event loop."""

    def __init__(self, slots: int, queue: int, longest_wait_s: float) -> None:
        self._slots = slots
        self._queue = queue
        self._longest_wait_s = longest_wait_s
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.in_use = 0

    @property
    def waiting(self) -> int:
        """Calls in the queue."""
        return sum(not waiter.done() for waiter in self._waiting)

    def resize(self, slots: int, queue: int) -> None:
        """So many from now on. Nobody loses a slot or a place: what is too much runs out."""
        self._slots = slots
        self._queue = queue
        self._fill()

    async def __aenter__(self) -> None:
        """Take a slot; raises QueueFullError."""
        if self.in_use < self._slots and not self._waiting:
            self.in_use += 1
            return
        if len(self._waiting) >= self._queue:
            raise QueueFullError
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._longest_wait_s):
                await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                self._leave()  # the slot was given in the moment in which the caller left
            else:
                with contextlib.suppress(ValueError):  # a slot that fell free may have passed it
                    self._waiting.remove(waiter)
            if isinstance(error, TimeoutError):
                raise QueueFullError from None
            raise

    async def __aexit__(self, *_error: object) -> None:
        self._leave()

    def _leave(self) -> None:
        self.in_use -= 1
        self._fill()

    def _fill(self) -> None:
        while self._waiting and self.in_use < self._slots:
            waiter = self._waiting.popleft()
            if not waiter.done():
                self.in_use += 1
                waiter.set_result(None)
