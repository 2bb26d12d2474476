"""`weighbridge status` on a real broker: each state, as the topics have it."""

import time
from typing import Any

import pytest

from broker.records.progress import ProgressRecord, encode_progress
from broker.records.providers import ProviderState, encode_state
from broker.settings import Settings
from broker.story.finding import Finding
from broker.story.status_run import run_status
from tests.cli.running import run, started
from tests.faults.deployment import wait_until
from tests.story.seeding import Seeder, call_of, completion_of, small, step, work_of


@pytest.fixture
def seeder(settings: Settings) -> Seeder:
    return Seeder(small(settings))


def status(seeder: Seeder, identity: str) -> Any:
    return run(seeder.settings, "status", identity, "--json").json()


def say(seeder: Seeder, identity: str, state: Any, at: float) -> None:
    record = ProgressRecord(
        id=identity,
        tenant="default",
        provider="azure",
        worker="w0",
        lane="light",
        state=state,
        place=7,
        starts_at=(at + 500, at + 900),
        ends_at=(at + 800, at + 2_000),
        at=at,
    )
    seeder.write(seeder.topics.progress, encode_progress(record), 0, key=identity.encode())


def test_each_state_is_told_from_the_topics(seeder: Seeder) -> None:
    for name in ("done", "runs", "waits", "in-kafka", "gone", *(f"n{n}" for n in range(8))):
        seeder.prompt(name, tenant="acme")
    seeder.flush()
    now = time.time()
    route = step("azure", at=now)
    places = {
        name: seeder.work(work_of(name, now, route))
        for name in ("runs", "waits", "gone", "before", "in-kafka")
    }
    for name in ("runs", "waits"):
        say(seeder, name, "waiting", now + 0.1)
    seeder.call(call_of("runs", 1, now + 0.2))
    say(seeder, "runs", "running", now + 0.3)
    seeder.completion(completion_of("done", now, 1_240.0, calls=2))
    state = ProviderState(
        provider="azure",
        worker="w0",
        at=now + 600,
        breaker="closed",
        in_flight=1,
        slots=4,
        waiting=3,
        waiting_weight=3_600,
        speed=600.0,
        waiting_by_lane={"light": 3},
        in_flight_by_lane={"light": 1},
        waiting_weight_by_lane={"light": 3_600},
    )
    seeder.write(seeder.topics.providers, encode_state(state), 0, key=state.key)
    seeder.flush()
    partition, offset = seeder.place(places["gone"])
    group = f"{seeder.settings.kafka.prefix}.worker.azure"
    base = seeder.place(places["runs"])[1]
    seeder.commit_out_of_order(group, seeder.topics.work("azure"), {partition: base}, [offset])

    found = status(seeder, "done")
    assert (found["state"], found["status"], found["calls"]) == ("completed", "succeeded", 2)
    assert found["tenant"] == "acme"

    found = status(seeder, "runs")
    assert (found["state"], found["worker"], found["calls"]) == ("running", "w0", 1)
    assert found["ends_at"] is not None

    found = status(seeder, "waits")
    assert (found["state"], found["place"], found["lane"]) == ("waiting", 7, "light")
    assert found["said_at"] is not None

    # Before it stand runs (a call under way), waits and before; gone is done.
    found = status(seeder, "in-kafka")
    assert (found["state"], found["place"], found["said_at"]) == ("waiting", 2, None)
    assert found["starts_at"] is not None

    assert status(seeder, "gone")["state"] == "nowhere"
    found = status(seeder, "n7")
    assert found["state"] == "not_classified"
    assert found["place"] >= 1

    told = run(seeder.settings, "status", "waits").out
    assert "waits: waiting in azure's light lane, 7 before it, starts in " in told
    assert "estimated from offsets" in run(seeder.settings, "status", "in-kafka").out
    assert "succeeded by azure" in run(seeder.settings, "status", "done").out
    ran = run(seeder.settings, "status", "nobody", expect=1)
    assert ran.out == ""
    assert len(ran.err.splitlines()) == 1


def test_what_is_committed_while_the_topics_are_read_is_not_taken_for_lost(
    seeder: Seeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The completions are read before the offsets that say that it is done."""
    seeder.prompt("late")
    seeder.flush()
    now = time.time()
    number = seeder.work(work_of("late", now, step("azure", at=now)))
    seeder.flush()
    partition, offset = seeder.place(number)
    real = Finding.completions

    def meanwhile(found: Finding) -> None:
        real(found)
        if found.story.completions:
            return
        seeder.completion(completion_of("late", now, 10.0))
        seeder.flush()
        group = f"{seeder.settings.kafka.prefix}.worker.azure"
        seeder.commit_out_of_order(group, seeder.topics.work("azure"), {partition: offset + 1}, [])

    monkeypatch.setattr(Finding, "completions", meanwhile)
    assert run_status(seeder.settings, "late").state == "completed"


def test_watching_ends_with_the_completion(seeder: Seeder) -> None:
    seeder.prompt("p1")
    seeder.flush()
    now = time.time()
    lines: list[str] = []
    with started(seeder.settings, "status", "p1", "--watch") as process:
        assert process.stdout is not None
        lines.append(process.stdout.readline())
        seeder.work(work_of("p1", now, step("azure", at=now)))
        seeder.flush()
        lines.append(process.stdout.readline())
        seeder.completion(completion_of("p1", now))
        seeder.flush()
        lines.append(process.stdout.readline())
        wait_until(lambda: process.poll() is not None, 30, "it ends")
        assert process.returncode == 0
    assert "not taken up by the classifier yet" in lines[0]
    assert "waiting in azure's light lane" in lines[1]
    assert "succeeded by azure" in lines[2]
