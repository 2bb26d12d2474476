"""What Ctrl-C, a closed terminal and a polite kill mean to a supervisor."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType

ENDINGS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@asynccontextmanager
async def first_signal() -> AsyncIterator[asyncio.Event]:
    """An event that is set by the first SIGINT, SIGTERM or SIGHUP; the block then ends in order."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in ENDINGS:
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in ENDINGS:
            loop.remove_signal_handler(number)


def second_signal_forces() -> None:
    """From now on a signal ends this process at once; its children follow it (parent_death)."""
    loop = asyncio.get_running_loop()
    for number in ENDINGS:
        loop.remove_signal_handler(number)
        signal.signal(number, _leave)


def _leave(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)
