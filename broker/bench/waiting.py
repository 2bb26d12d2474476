"""Waiting for what a measurement needs, with an end."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from broker.bench.failing import MeasurementFailedError

_LOOK_S: Final = 0.02


async def until(
    condition: Callable[[], bool | Awaitable[bool]], deadline_s: float, missing: Callable[[], str]
) -> None:
    """Look until the condition holds; raises MeasurementFailedError, with what is missing."""
    ends = time.monotonic() + deadline_s
    while True:
        holds = condition()
        if holds if isinstance(holds, bool) else await holds:
            return
        if time.monotonic() > ends:
            raise MeasurementFailedError(f"After {deadline_s:.0f} s {missing()}.")
        await asyncio.sleep(_LOOK_S)
