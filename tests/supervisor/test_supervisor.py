"""The supervisor over real processes: deaths, restarts, and the order in which all ends."""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from broker.records.errors import NotReadyError
from broker.supervisor.supervisor import Supervisor
from tests.supervisor.family import COMMAND, Family, is_gone, until


@pytest.fixture
def family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Family:
    monkeypatch.setattr("broker.supervisor.child.weighbridge_command", lambda: COMMAND)
    return Family(tmp_path)


def test_a_killed_child_starts_again_at_once_on_its_port_and_later_deaths_wait(
    family: Family,
) -> None:
    family.add("one")
    family.add("two")

    async def history() -> None:
        async with family.supervisor() as supervisor:
            await supervisor.start(deadline_s=30)
            one, two = supervisor.children["one"], supervisor.children["two"]
            beside = two.pid
            for death in range(3):
                before = one.pid
                assert supervisor.kill("one") == before
                await until(lambda: one.starts == death + 2 and one.ready)  # noqa: B023 - awaited here
            assert two.pid == beside
            assert await supervisor.stop(drain_s=20)

    asyncio.run(history())
    deaths = [event.text for event in family.events if event.kind == "died"]
    assert deaths == [
        "was ended by SIGKILL; it starts again at once",
        "was ended by SIGKILL; it starts again in 0.5 s",
        "was ended by SIGKILL; it starts again in 1.0 s",
    ]
    assert family.kinds("one")[:5] == ["ready", "killed", "died", "started", "ready"]
    times = [float(line.split()[-2]) for line in family.noted("one start")]
    assert times[2] - times[1] >= 0.5
    assert times[3] - times[2] >= 1.0


def test_a_death_while_starting_is_told_with_the_last_lines_of_its_log(family: Family) -> None:
    family.add("sound")
    family.add("bad", "--ends-with", "1")

    async def history() -> None:
        async with family.supervisor() as supervisor:
            await supervisor.start(deadline_s=30)

    with pytest.raises(NotReadyError, match="the reason why it ends") as told:
        asyncio.run(history())
    assert "bad keeps ending as it starts" in told.value.message
    assert "bad.log" in told.value.mend
    assert family.kinds("bad").count("died") == 3
    for line in family.noted("sound start"):
        assert is_gone(int(line.split()[-1]))


def test_wrong_settings_are_not_tried_again(family: Family) -> None:
    family.add("bad", "--ends-with", "2")

    async def history() -> None:
        async with family.supervisor() as supervisor:
            await supervisor.start(deadline_s=30)

    with pytest.raises(NotReadyError, match="the reason why it ends"):
        asyncio.run(history())
    assert family.kinds("bad").count("died") == 1


def test_a_child_that_is_never_ready_is_told_at_the_deadline(family: Family) -> None:
    family.add("slow", "--never-ready")

    async def history() -> None:
        async with family.supervisor() as supervisor:
            await supervisor.start(deadline_s=1.0)

    began = time.monotonic()
    with pytest.raises(NotReadyError, match="slow was not ready within 1 s"):
        asyncio.run(history())
    assert time.monotonic() - began < 10
    for line in family.noted("slow start"):
        assert is_gone(int(line.split()[-1]))


def test_all_get_sigterm_the_last_ones_after_the_others_the_deaf_are_killed(
    family: Family,
) -> None:
    family.add("clouds")
    family.add("worker")
    family.add("deaf", "--deaf")

    async def history() -> tuple[bool, float]:
        async with family.supervisor() as supervisor:
            await supervisor.start(deadline_s=30)
            began = time.monotonic()
            clean = await supervisor.stop(drain_s=1.0, last=("clouds",))
            return clean, time.monotonic() - began

    clean, took = asyncio.run(history())
    assert not clean
    assert 1.0 <= took < 8.0
    order = [line.split()[0] for line in family.noted("term")]
    assert order[-1] == "clouds"
    assert set(order) == {"clouds", "worker", "deaf"}
    assert [event.text for event in family.events if event.kind == "killed"] == [
        "did not end within 1 s"
    ]
    assert family.kinds("deaf") == ["ready", "killed"]


def test_a_child_that_waits_for_its_restart_does_not_come_back_after_stop(
    family: Family,
) -> None:
    family.add("one")

    async def history() -> None:
        async with family.supervisor() as supervisor:
            await supervisor.start(deadline_s=30)
            one = supervisor.children["one"]
            supervisor.kill("one")
            await until(lambda: one.starts == 2 and one.pid is not None)
            supervisor.kill("one")
            await until(lambda: family.kinds("one").count("died") == 2)
            assert one.pid is None
            assert await supervisor.stop(drain_s=5)
            await asyncio.sleep(0.8)
            assert one.pid is None

    asyncio.run(history())
    assert len(family.noted("one start")) <= 2


def test_a_cancelled_stop_leaves_nothing_behind(family: Family) -> None:
    family.add("deaf", "--deaf")

    async def history(supervisor: Supervisor) -> None:
        async with supervisor:
            await supervisor.start(deadline_s=30)
            async with asyncio.timeout(0.3):
                await supervisor.stop(drain_s=60)

    with pytest.raises(TimeoutError):
        asyncio.run(history(family.supervisor()))
    (line,) = family.noted("deaf start")
    assert is_gone(int(line.split()[-1]))


def test_a_machine_out_of_processes_for_a_while_gets_its_child_back(
    family: Family, monkeypatch: pytest.MonkeyPatch
) -> None:
    family.add("one")

    async def history() -> None:
        async with family.supervisor() as supervisor:
            await supervisor.start(deadline_s=30)
            one = supervisor.children["one"]
            kept = one.command
            with monkeypatch.context() as patch:
                patch.setattr(one, "command", lambda: ["/nowhere/at/all"])
                supervisor.kill("one")
                await until(lambda: any("cannot be started" in e.text for e in family.events))
            assert one.command == kept
            await until(lambda: one.ready)
            assert supervisor.kill("one", signal.SIGTERM)

    asyncio.run(history())


def test_a_huge_log_is_set_aside_when_its_child_starts(family: Family, tmp_path: Path) -> None:
    family.add("one")
    log = tmp_path / "logs" / "one.log"
    log.parent.mkdir()
    with log.open("wb") as file:
        file.truncate(11 * 1024 * 1024)

    async def history() -> None:
        async with family.supervisor() as supervisor:
            await supervisor.start(deadline_s=30)

    asyncio.run(history())
    assert log.stat().st_size < 1024
    assert log.with_suffix(".log.1").stat().st_size > 10 * 1024 * 1024


def test_a_log_that_cannot_be_written_is_one_sentence(family: Family, tmp_path: Path) -> None:
    family.add("one")
    (tmp_path / "logs").write_text("a file where the folder should be")

    async def history() -> None:
        async with family.supervisor() as supervisor:
            await supervisor.start(deadline_s=30)

    with pytest.raises(NotReadyError, match="one cannot be started"):
        asyncio.run(history())
