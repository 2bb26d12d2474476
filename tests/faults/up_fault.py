"""`weighbridge up` killed with SIGKILL, and started again on the same data."""

import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Final

import psutil

from broker.settings import Settings
from tests.faults.answers import Answers
from tests.faults.deployment import COMMAND, variables, wait_until
from tests.faults.oracle import Trial
from tests.faults.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Iterator

UP_S: Final = 90.0
ANSWERED_S: Final = 60.0


@contextmanager
def up(settings: Settings, log: Path) -> "Iterator[subprocess.Popen[bytes]]":
    """`weighbridge up`, once it is ready; killed with the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, "up"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **variables(settings)},
            start_new_session=True,
        )
    try:
        wait_until(
            lambda: process.poll() is not None or b"Ready in" in log.read_bytes(),
            UP_S,
            lambda: log.read_text()[-3000:],
        )
        assert process.poll() is None, log.read_text()[-3000:]
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def _family(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """Every process that `up` has begun, the broker too."""
    return psutil.Process(process.pid).children(recursive=True)


def up_killed(settings: Settings, folder: Path, chance: Random) -> Trial:
    """Kill `up` under load: all of it ends; the next one answers what was accepted."""
    with up(settings, folder / "first.log") as process:
        bootstrap = _bootstrap(folder / "first.log")
        kafka = settings.kafka.model_copy(update={"bootstrap": bootstrap})
        known = settings.model_copy(update={"kafka": kafka})
        family = _family(process)
        assert any("kafka.Kafka" in " ".join(child.cmdline()) for child in family)
        traffic = Traffic(known, rate=60)
        with Answers(known) as answers:
            traffic.start()
            try:
                wait_until(lambda: len(set(traffic.accepted) & answers.ids()) > 30, 30, "answers")
                time.sleep(chance.uniform(0.0, 1.0))
                process.send_signal(signal.SIGKILL)
                process.wait(10)
                _, alive = psutil.wait_procs(family, timeout=10)
                assert not alive, f"still there: {[child.cmdline()[:6] for child in alive]}"
                with up(settings, folder / "second.log") as again:
                    assert _bootstrap(folder / "second.log") == bootstrap
                    longest = _goes_on(traffic, answers)
                    _drain(again, folder / "second.log")
                return Trial(len(traffic.accepted), longest)
            finally:
                traffic.stop()


def _goes_on(traffic: Traffic, answers: Answers) -> float:
    """All that was accepted is answered once; the longest that any prompt waited."""
    before = len(traffic.accepted)
    wait_until(lambda: len(traffic.accepted) > before + 30, 60, "it accepts again")
    traffic.stop()
    accepted = set(traffic.accepted)
    wait_until(lambda: accepted <= answers.ids(), ANSWERED_S, "all is answered")
    counts = answers.counts()
    assert {counts[identity] for identity in accepted} == {1}
    return max(answers.of(i)[0].at - traffic.accepted[i] for i in accepted)


def _drain(process: "subprocess.Popen[bytes]", log: Path) -> None:
    family = _family(process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0, log.read_text()[-3000:]
    _, alive = psutil.wait_procs(family, timeout=5)
    assert not alive


def _bootstrap(log: Path) -> str:
    found = re.search(r"Kafka at (127\.0\.0\.1:\d+)", log.read_text())
    assert found, log.read_text()
    return found[1]
