"""`weighbridge audit` on a real broker, on topics that hold one case of each kind."""

import time
from typing import Any

import orjson
import pytest

from broker.records.times import to_rfc3339
from broker.settings import Settings
from tests.cli.running import rows, run, started
from tests.story.seeding import Seeder, call_of, completion_of, small, step, work_of

KEYS = [
    *("accepted", "duplicate_inputs", "completed", "pending", "lost", "duplicates"),
    *("dead_lettered", "calls", "repeated_calls", "calls_without_end", "moves", "choices"),
    *("not_routed", "losses"),
    *(
        "cost_usd",
        "cost_estimated",
        "repeats_cost_usd",
        "calls_of_unknown_cost",
        "statuses",
        "providers",
    ),
    *("lanes", "latency_ms"),
]
KEYS_OF_ONE = ["completed", "calls", "moves_in", "moves_out", "cost_usd", "latency_ms"]


@pytest.fixture
def seeder(settings: Settings) -> Seeder:
    return Seeder(small(settings))


def test_one_answer_each_moves_calls_and_latencies(seeder: Seeder) -> None:
    now = time.time()
    for number in range(20):
        name = f"p{number}"
        seeder.prompt(name)
        seeder.work(work_of(name, now, step("azure")))
        seeder.call(call_of(name, 1, now))
        seeder.call(call_of(name, 1, now + 1, ended=True, cost_usd=0.001))
        seeder.completion(completion_of(name, now, 100.0 * (number + 1)))
    seeder.prompt(None)
    seeder.prompt("moved")
    seeder.work(work_of("moved", now, step("azure")))
    seeder.work(work_of("moved", now, step("azure"), step("google", "azure is off"), attempt=1))
    seeder.call(call_of("moved", 1, now))
    cut = {"outcome": "move", "cost_usd": 0.25, "cost_estimated": True}
    seeder.call(call_of("moved", 1, now, ended=True, **cut))
    seeder.call(call_of("moved", 2, now, provider="google"))
    seeder.call(call_of("moved", 2, now, provider="google"))
    unknown = {"outcome": "stop", "http_status": None}
    seeder.call(call_of("moved", 2, now, ended=True, provider="google", **unknown))
    seeder.completion(completion_of("moved", now, 50.0, provider="google", status="failed"))
    seeder.prompt("p3")
    seeder.flush()
    ran = run(seeder.settings, "audit", "--json")
    found = ran.json()
    assert list(found) == KEYS
    assert found["accepted"] == 22
    assert found["completed"] == 21
    assert found["pending"] == 1
    assert (found["lost"], found["duplicates"], found["dead_lettered"]) == (0, 0, 0)
    assert found["duplicate_inputs"] == 1
    assert (found["calls"], found["repeated_calls"], found["moves"]) == (23, 1, 1)
    assert found["statuses"] == {"succeeded": 20, "failed": 1}
    assert set(found["providers"]) == {"azure", "google"}
    azure, google = found["providers"]["azure"], found["providers"]["google"]
    assert list(azure) == KEYS_OF_ONE
    assert (azure["completed"], azure["calls"], azure["moves_out"]) == (20, 21, 1)
    assert (google["completed"], google["calls"], google["moves_in"]) == (1, 2, 1)
    assert azure["cost_usd"] == pytest.approx(0.27)
    assert google["cost_usd"] is None
    assert (found["cost_usd"], found["repeats_cost_usd"]) == (pytest.approx(0.27), 0.25)
    assert (found["cost_estimated"], found["calls_of_unknown_cost"]) == (True, 1)
    assert found["calls_without_end"] == 1
    spread = azure["latency_ms"]
    assert (spread["p50"], spread["p99"]) == pytest.approx((1000, 2000), rel=0.02)
    assert found["lanes"]["light"]["completed"] == 21
    assert found["lanes"]["light"]["calls"] == 23
    told = run(seeder.settings, "audit").out
    assert "azure 20 21 0 1 0.2700" in "\n".join(rows(told))
    assert "of it for repeats 0.2500" in "\n".join(rows(told))
    assert "every prompt that is due has exactly one completion" in told
    assert "Some costs are estimates" in told


def test_lost_waiting_and_doubled(seeder: Seeder) -> None:
    now = time.time()
    for name in ("lost", "waits", "done-past-base", "twice", "late"):
        fields: dict[str, Any] = {"timeout_s": 3600} if name == "late" else {}
        seeder.prompt(name, **fields)
    held = seeder.work(work_of("waits", now, step("azure")))
    gone = seeder.work(work_of("done-past-base", now, step("azure")))
    seeder.completion(completion_of("twice", now))
    seeder.completion(completion_of("twice", now))
    seeder.classified()
    partition, offset = seeder.place(held)
    assert seeder.place(gone) == (partition, offset + 1)
    seeder.commit_out_of_order(
        f"{seeder.settings.kafka.prefix}.worker.azure",
        seeder.topics.work("azure"),
        {partition: offset},
        [offset + 1],
    )
    ran = run(seeder.settings, "audit", "--json", "--grace", "0", expect=4)
    found = ran.json()
    assert found["accepted"] == 5
    assert (found["completed"], found["pending"], found["lost"]) == (1, 2, 2)
    assert found["duplicates"] == 1
    told = run(seeder.settings, "audit", "--grace", "0", expect=4).out
    assert "Lost: " in told
    assert "done-past-base" in told
    assert "Completed too often: twice" in told
    patient = run(seeder.settings, "audit", "--json", "--grace", "3600", expect=4).json()
    assert (patient["pending"], patient["lost"]) == (4, 0)


def test_what_no_classifier_has_read_waits_and_is_not_lost(seeder: Seeder) -> None:
    seeder.prompt("read")
    seeder.classified()
    seeder.prompt("unread")
    seeder.flush()
    found = run(seeder.settings, "audit", "--json", "--grace", "0", expect=4).json()
    assert (found["accepted"], found["pending"], found["lost"]) == (2, 1, 1)


def test_a_record_away_from_home_and_its_copy_are_one_prompt(seeder: Seeder) -> None:
    now = time.time()
    seeder.prompt("wanderer", away=True)
    seeder.forwarded("wanderer", "1-0", to_rfc3339(now))
    seeder.prompt("not-yet", away=True)
    seeder.completion(completion_of("wanderer", now))
    seeder.flush()
    found = run(seeder.settings, "audit", "--json").json()
    assert (found["accepted"], found["completed"], found["pending"]) == (2, 1, 1)
    assert (found["duplicate_inputs"], found["duplicates"]) == (0, 0)


def test_an_aborted_completion_is_none(seeder: Seeder) -> None:
    now = time.time()
    for name in ("answered", "rolled-back"):
        seeder.prompt(name)
    seeder.classified()
    seeder.open_transaction(
        completion_of("answered", now), completion_of("rolled-back", now)
    ).abort_transaction(30)
    seeder.open_transaction(completion_of("answered", now)).commit_transaction(30)
    found = run(seeder.settings, "audit", "--json", "--grace", "0", expect=4).json()
    assert (found["accepted"], found["completed"]) == (2, 1)
    assert (found["lost"], found["duplicates"]) == (1, 0)


def test_a_completion_behind_an_open_transaction_is_not_lost(seeder: Seeder) -> None:
    now = time.time()
    for name in ("p1", "p2"):
        seeder.prompt(name)
    seeder.flush()
    first = seeder.open_transaction(completion_of("p1", now))
    seeder.open_transaction(completion_of("p2", now)).commit_transaction(30)
    with started(seeder.settings, "audit", "--json", "--grace", "0") as audit:
        ends = time.monotonic() + 4
        while time.monotonic() < ends:
            assert audit.poll() is None, "it did not wait for the transaction"
            time.sleep(0.05)
        first.commit_transaction(30)
        told, _ = audit.communicate(timeout=30)
    found = orjson.loads(told)
    assert audit.returncode == 0, found
    assert (found["accepted"], found["completed"], found["lost"]) == (2, 2, 0)


def test_an_id_again_after_the_window_may_be_answered_again(seeder: Seeder) -> None:
    now = time.time()
    seeder.prompt("again")
    seeder.completion(completion_of("again", now))
    seeder.flush()
    ends = time.monotonic() + 1.2
    while time.monotonic() < ends:
        seeder.flush()
        time.sleep(0.05)
    seeder.prompt("again")
    seeder.completion(completion_of("again", time.time()))
    seeder.flush()
    short: dict[str, Any] = {"WEIGHBRIDGE_DEDUPE__WINDOW_S": "1"}
    found = run(seeder.settings, "audit", "--json", **short).json()
    assert (found["accepted"], found["completed"], found["duplicates"]) == (1, 1, 0)
    assert found["duplicate_inputs"] == 0
    found = run(seeder.settings, "audit", "--json", expect=4).json()
    assert (found["duplicate_inputs"], found["duplicates"]) == (1, 1)


def test_a_time_range_counts_only_its_own(seeder: Seeder) -> None:
    seeder.prompt("old")
    seeder.completion(completion_of("old", time.time()))
    seeder.flush()
    time.sleep(0.01)
    middle = to_rfc3339(time.time())
    time.sleep(0.01)
    seeder.prompt("old")
    seeder.prompt("new")
    seeder.completion(completion_of("new", time.time()))
    seeder.flush()
    late = run(seeder.settings, "audit", "--json", "--since", middle).json()
    assert (late["accepted"], late["completed"], late["duplicate_inputs"]) == (1, 1, 1)
    early = run(seeder.settings, "audit", "--json", "--until", middle, "--since", "10m").json()
    assert (early["accepted"], early["completed"], early["duplicate_inputs"]) == (1, 1, 0)


def test_foreign_records_are_told_and_do_not_stop_it(seeder: Seeder) -> None:
    seeder.prompt("sound")
    seeder.completion(completion_of("sound", time.time()))
    seeder.write(seeder.topics.completions, b"\xff not ours", 0)
    seeder.write(seeder.topics.completions, None, 0)
    seeder.write(seeder.topics.calls, b"[]", 0)
    seeder.write(seeder.topics.work("azure"), b'{"id": 7}', 0)
    seeder.flush()
    told = run(seeder.settings, "audit").out
    assert "4 records in our topics are not in the contract's form" in told


def test_nothing_there_and_what_is_asked_wrongly(settings: Settings) -> None:
    missing = run(settings, "audit", expect=3)
    assert "topics apply" in missing.err
    wrong = run(settings, "audit", "--since", "yesterday", expect=2)
    assert "RFC 3339" in wrong.err
