"""When a process ends, and with which word."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from broker.records.errors import NotReadyError
from broker.telemetry.lifetime import Lifetime, ProcessFailedError
from broker.telemetry.logs import get_logger

DEADLINE_S = 10
QUOTED = "what the prompt said"


def test_a_signal_asks_it_to_end_and_is_no_failure() -> None:
    async def body() -> None:
        life = Lifetime("The test", get_logger())
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(life.ending.wait(), DEADLINE_S)
        assert not life.has_failed
        life.raise_failure()

    asyncio.run(body())


def test_a_second_signal_ends_it_at_once() -> None:
    program = (
        "import asyncio, os, signal\n"
        "from broker.telemetry.lifetime import Lifetime\n"
        "from broker.telemetry.logs import get_logger\n"
        "async def main():\n"
        "    life = Lifetime('It', get_logger())\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    await life.ending.wait()\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], timeout=30, check=False)
    assert done.returncode == 128 + signal.SIGINT


def test_the_first_failure_counts_and_what_has_to_stop_stops_once() -> None:
    async def body() -> None:
        life = Lifetime("The test", get_logger())
        stopped: list[bool] = []
        life.when_failing(lambda: stopped.append(True))
        life.fail(NotReadyError("One is missing.", mend="Bring it."))
        life.fail(ValueError(QUOTED))
        assert stopped == [True]
        assert life.problem == "One is missing. Bring it."
        with pytest.raises(NotReadyError):
            life.raise_failure()

    asyncio.run(body())


def test_a_foreign_failure_is_told_without_its_message() -> None:
    async def body() -> None:
        life = Lifetime("The test", get_logger())
        life.fail(ValueError(QUOTED))
        with pytest.raises(ProcessFailedError) as raised:
            life.raise_failure()
        assert "The test cannot go on: ValueError" in str(raised.value)
        assert QUOTED not in str(raised.value)

    with capture_logs() as lines:
        asyncio.run(body())
    assert [line["event"] for line in lines] == ["failed"]


def test_a_task_or_a_callback_that_fails_ends_the_process() -> None:
    async def failing() -> None:
        raise ValueError(QUOTED)

    async def by_task() -> None:
        life = Lifetime("The test", get_logger())
        task = asyncio.create_task(failing())
        life.depends_on(task)
        await asyncio.wait_for(life.ending.wait(), DEADLINE_S)
        assert life.has_failed

    async def by_callback() -> None:
        life = Lifetime("The test", get_logger())

        def broken() -> None:
            raise ValueError(QUOTED)

        life.on_loop(broken)
        await asyncio.wait_for(life.ending.wait(), DEADLINE_S)
        assert life.has_failed

    asyncio.run(by_task())
    asyncio.run(by_callback())


def test_from_a_thread_whose_loop_is_gone_nothing_happens() -> None:
    async def body() -> Lifetime:
        life = Lifetime("The test", get_logger())
        await asyncio.to_thread(life.fail_from_thread, NotReadyError("Gone."))
        await asyncio.wait_for(life.ending.wait(), DEADLINE_S)
        return life

    life = asyncio.run(body())
    life.on_loop(print)
