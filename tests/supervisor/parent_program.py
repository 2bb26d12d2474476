"""A supervising process as `weighbridge up` is one: children, signals, and an orderly end."""

import asyncio
import sys
from pathlib import Path

from broker.supervisor import child
from broker.supervisor.signals import ending_on_signals
from tests.supervisor.family import COMMAND, Family

# The children of this process are the tests' programs.
child.weighbridge_command = lambda: COMMAND


async def main(folder: Path, arguments: list[str]) -> None:
    family = Family(folder)
    family.add("plain")
    family.add("odd", *arguments)
    async with ending_on_signals() as ending, family.supervisor() as supervisor:
        (folder / "starting").touch()
        await supervisor.start(deadline_s=30)
        ending.ready()
        (folder / "ready").touch()
        await ending.asked.wait()
        (folder / "draining").touch()
        await supervisor.stop(drain_s=60)


asyncio.run(main(Path(sys.argv[1]), sys.argv[2:]))
