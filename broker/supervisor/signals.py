"""What Ctrl-C, a closed terminal and a polite kill mean to a supervisor."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending:
    """Whether somebody asked this process to end.

    While it is coming up a signal cancels `task`, whose cleanup takes down what is up already.
    After `ready` the first signal sets `asked`, and one more ends the process at once; children
    follow it (parent_death).
    """

    def __init__(self, task: "asyncio.Task[object]") -> None:
        self.asked = asyncio.Event()
        self._task = task
        self._ready = False

    def ready(self) -> None:
        """From now on a signal asks instead of cancelling."""
        self._ready = True

    def note(self) -> None:
        """A signal has come."""
        for number in ENDINGS:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, _leave)
        self.asked.set()
        if not self._ready:
            self._task.cancel()


@asynccontextmanager
async def ending_on_signals() -> AsyncIterator[Ending]:
    """Watch for SIGINT, SIGTERM and SIGHUP during the block."""
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("signals are watched from inside a task")
    loop = asyncio.get_running_loop()
    ending = Ending(task)
    before = {number: signal.getsignal(number) for number in ENDINGS}
    for number in ENDINGS:
        loop.add_signal_handler(number, ending.note)
    try:
        yield ending
    finally:
        for number in ENDINGS:
            loop.remove_signal_handler(number)
            signal.signal(number, before[number])


def _leave(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)
