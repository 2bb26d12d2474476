"""The pure parts of the measurements: loads, lanes, settings files, /proc."""

import tomllib
from array import array

import orjson
import pytest

from broker.bench import noisy
from broker.bench.arrivals import Watch
from broker.bench.lanes import OFFERED, SLOTS, heavy_rate, mixed, service_s
from broker.bench.noisy import flooded
from broker.bench.open_loop import Offered, steady
from broker.bench.prompts import light_bodies, with_id
from broker.bench.quotas import error_of
from broker.bench.site import to_toml
from broker.bench.usage import Cpu, by_thread_name, parse_stat


class Record:
    def __init__(self, status: bytes, written_ms: int) -> None:
        self._status = status
        self._written_ms = written_ms

    def headers(self) -> list[tuple[str, bytes]]:
        return [("status", self._status)]

    def timestamp(self) -> tuple[int, int]:
        return (1, self._written_ms)


def test_a_steady_load_has_constant_distances() -> None:
    load = steady(200, 1.5, (b"a", b"b"))
    assert len(load.due_s) == len(load.bodies) == 300
    assert load.due_s[0] == 0
    assert load.due_s[299] == pytest.approx(299 / 200)
    assert load.bodies[:3] == [b"a", b"b", b"a"]


def test_bodies_are_prompts_once_they_have_an_id() -> None:
    prompt = orjson.loads(with_id("run-7", light_bodies()[0]))
    assert prompt["id"] == "run-7"
    assert len(prompt["prompt"]) > 100


def test_a_latency_runs_from_when_a_prompt_was_due_and_a_missing_one_is_endless() -> None:
    watch = Watch("run", 3, array("d", [10.0, 11.0, 12.0]))
    watch.note(0, Record(b"succeeded", 1), 10.5)
    watch.note(1, Record(b"succeeded", 2), 12.5)
    offered = Offered(watch, (0.0, 0.0, 0.0), cut=False)
    assert offered.latencies_ms() == [500.0, 1500.0, float("inf")]
    assert offered.latencies_ms([1]) == [1500.0]
    assert (watch.came, watch.missing, watch.slow) == (2, 1, 1)


def test_a_second_record_of_a_prompt_and_a_failed_one_are_seen() -> None:
    watch = Watch("run", 2)
    watch.note(0, Record(b"succeeded", 1), 1.0)
    watch.note(0, Record(b"succeeded", 1), 2.0)
    watch.note(1, Record(b"failed", 1), 2.0)
    assert (watch.came, watch.doubled, watch.failed) == (2, 1, 1)


def test_what_a_dead_worker_wrote_is_no_recovery() -> None:
    watch = Watch("run", 3)
    watch.mark_ms = 1_000
    watch.note(0, Record(b"succeeded", 999), 5.0)
    watch.note(1, Record(b"succeeded", 1_000), 6.0)
    watch.note(2, Record(b"succeeded", 1_001), 7.0)
    assert watch.marked_at == 6.0


def test_a_late_generator_says_so() -> None:
    watch = Watch("run", 1, array("d", [1.0]))
    watch.note(0, Record(b"succeeded", 1), 1.25)
    assert "LATE ITSELF" in Offered(watch, (60.0,), cut=False).sentence()
    assert "LATE" not in Offered(watch, (20.0,), cut=False).sentence()
    watch.at[0] = 1.004
    assert "LATE" not in Offered(watch, (3.0,), cut=False).sentence()


def test_heavy_prompts_bring_the_load_to_what_is_said() -> None:
    assert heavy_rate() * service_s(2_000) == pytest.approx(OFFERED * SLOTS)


def test_the_flood_is_more_than_the_slots_can_serve_and_the_quiet_are_not() -> None:
    both = flooded(20.0)
    assert len(both.second) == pytest.approx(noisy.TIMES * len(both.first) / noisy.QUIET)
    offered = len(both.load.bodies) / both.load.seconds
    assert offered > 1.3 * noisy.CAPACITY
    assert len(both.first) / both.load.seconds < 0.6 * noisy.CAPACITY
    tenants = [orjson.loads(both.load.bodies[place])["tenant"] for place in both.first]
    assert len(set(tenants)) == noisy.QUIET
    assert pytest.approx(0.1 + 399 * noisy.per_token_s()) == noisy.SERVICE_S


def test_two_loads_are_merged_by_time_and_each_prompt_is_known_again() -> None:
    both = mixed(steady(10, 1, (b"light",)), steady(4, 1, (b"heavy",)))
    assert list(both.load.due_s) == sorted(both.load.due_s)
    assert {both.load.bodies[place] for place in both.first} == {b"light"}
    assert (len(both.first), len(both.second)) == (10, 4)


def test_a_settings_file_says_what_was_meant() -> None:
    sections = {
        "kafka": {"bootstrap": "127.0.0.1:9092", "client": {}},
        "providers": {"a-b": {"models": {"x": 'with "quotes"'}, "max_in_flight": 3}},
        "simulator": {"fast": True, "clouds": {"a-b": {"spread": 0.0}}},
    }
    assert tomllib.loads(to_toml(sections)) == sections


def test_a_thread_s_name_may_hold_anything() -> None:
    name, cpu = parse_stat("12 (a ) b) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0")
    assert name == "a ) b"
    assert cpu.total == pytest.approx(3.0)


def test_threads_alike_but_for_their_number_are_one_row() -> None:
    before = {1: ("java", Cpu(1.0, 0.0)), 2: ("rdk:broker1", Cpu(1.0, 0.0))}
    after = {
        1: ("java", Cpu(1.0, 0.25)),
        2: ("rdk:broker1", Cpu(2.0, 0.5)),
        3: ("rdk:broker2", Cpu(0.5, 0.0)),
        4: ("C2 Compiler", Cpu(9.0, 0.0)),
    }
    assert by_thread_name(before, after, 1) == [
        ("C2 Compiler", 1, Cpu(9.0, 0.0)),
        ("rdk:brokerN", 2, Cpu(1.5, 0.5)),
        ("java (main)", 1, Cpu(0.0, 0.25)),
    ]


def test_threads_that_have_the_first_one_s_name_are_told_apart() -> None:
    after = {7: ("python", Cpu(3.0, 0.0)), 8: ("python", Cpu(2.0, 0.0))}
    rows = by_thread_name({}, after, 7)
    assert [name for name, _, _ in rows] == ["python (main)", "python (thread 1)"]


def test_the_worst_minute_is_the_one_furthest_off_on_either_side() -> None:
    assert error_of([10] * 60, 60) == (600, 0.0)
    assert error_of([*[10] * 10, 13, *[10] * 5], 10) == pytest.approx((103, 3.0))
    assert error_of([*[10] * 10, 13, 0, *[10] * 9], 10) == pytest.approx((90, 10.0))
