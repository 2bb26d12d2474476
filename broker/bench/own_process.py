"""Measuring in a process of its own, so that nothing else's CPU time is counted."""

import asyncio
import json
import os
import sys
from typing import Any

from broker.bench.failing import MeasurementFailedError
from broker.supervisor.parent_death import PARENT_VARIABLE


async def measured_apart(module: str, *arguments: object, doing: str) -> Any:
    """What `python -m broker.bench.<module>` prints with these arguments, as JSON.

    It has to follow its parent. Raises MeasurementFailedError, which says what it was `doing`.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"broker.bench.{module}", *map(str, arguments)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, PARENT_VARIABLE: str(os.getpid())},
    )
    told, _ = await process.communicate()
    if process.returncode:
        raise MeasurementFailedError(f"{doing} ended with {process.returncode}.")
    return json.loads(told)
