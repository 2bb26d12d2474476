"""Where a prompt is, from what the topics have of it."""

import time
from dataclasses import replace
from typing import Any

import pytest

from broker.records.progress import ProgressRecord
from broker.records.providers import ProviderState
from broker.story.status import Ahead, Facts, Status, status_of
from tests.story.seeding import call_of, completion_of, step, work_of

NOW = time.time()
T = NOW - 100.0


def facts(**given: Any) -> Facts:
    work = work_of("p1", T, step("azure", at=T + 0.1))
    return Facts(**{"id": "p1", "tenant": "acme", "accepted_at": T, "work": work, **given})


def state(**given: Any) -> ProviderState:
    usual: dict[str, Any] = {
        "provider": "azure",
        "worker": "w0",
        "at": NOW - 0.5,
        "breaker": "closed",
        "in_flight": 4,
        "slots": 4,
        "waiting": 100,
        "waiting_weight": 100_000,
        "speed": 1_000.0,
        "waiting_by_lane": {"light": 100},
        "in_flight_by_lane": {"light": 4},
        "waiting_weight_by_lane": {"light": 100_000},
        "calls_take": {"chat-small": (1.0, 0.01)},
    }
    return ProviderState(**{**usual, **given})


def said(at: float, kind: Any = "waiting") -> ProgressRecord:
    return ProgressRecord(
        id="p1",
        tenant="acme",
        provider="azure",
        worker="w0",
        lane="light",
        state=kind,
        place=7,
        starts_at=(at + 5, at + 9),
        ends_at=(at + 8, at + 20),
        at=at,
    )


def now(**given: Any) -> Status:
    return status_of(facts(**given), NOW)


def test_a_completion_is_the_end_whatever_else_is_known() -> None:
    ended = completion_of("p1", T, 2_000.0, status="failed", calls=3)
    found = now(completion=ended, calls=[call_of("p1", 1, T + 1)], told=said(T))
    assert (found.state, found.status, found.calls) == ("completed", "failed", 3)
    assert (found.completed_at, found.provider) == (T + 2.0, "azure")
    assert found.why == "The provider failed."


def test_before_it_is_classified_its_place_is_that_in_the_prompts() -> None:
    found = now(work=None, ahead=Ahead(41, 1))
    assert (found.state, found.place, found.provider) == ("not_classified", 41, None)


def test_a_call_without_an_end_is_under_way_and_has_the_end_that_its_worker_said() -> None:
    calls = [
        call_of("p1", 1, T + 1),
        call_of("p1", 1, T + 2, ended=True, outcome="retry"),
        call_of("p1", 2, T + 3),
    ]
    found = now(calls=calls, told=said(T + 3.5, "running"), states=[state()])
    assert (found.state, found.since, found.calls) == ("running", T + 3, 2)
    assert (found.worker, found.ends_at) == ("w0", (T + 11.5, T + 23.5))
    # What was said of the call before says nothing of this one.
    found = now(calls=calls, told=said(T + 1.5, "running"), states=[state()])
    assert (found.state, found.worker, found.said_at) == ("running", None, None)
    assert found.ends_at is not None
    assert found.ends_at[0] >= NOW


def test_a_call_that_ended_for_another_try_waits_again() -> None:
    calls = [call_of("p1", 1, T + 1), call_of("p1", 1, T + 2, ended=True, outcome="retry")]
    found = now(calls=calls, told=said(T + 4))
    assert (found.state, found.calls, found.place) == ("waiting", 1, 7)
    assert now(calls=calls, told=said(T + 0.5)).place is None


def test_what_waits_has_the_place_that_its_worker_said() -> None:
    found = now(told=said(NOW - 3), ahead=Ahead(90, 2), states=[state()])
    assert (found.state, found.lane, found.provider) == ("waiting", "light", "azure")
    assert (found.place, found.said_at) == (7, NOW - 3)
    assert found.starts_at == (NOW + 2, NOW + 6)


def test_what_is_still_in_kafka_is_worked_out_from_offsets_and_speed() -> None:
    found = now(ahead=Ahead(64, 6), states=[state()])
    assert (found.state, found.place, found.said_at) == ("waiting", 60, None)
    assert found.starts_at is not None
    assert found.ends_at is not None
    # 60 prompts of 1,000 token units each, at 1,000 a second.
    assert found.starts_at[0] < NOW + 60 < found.starts_at[1]
    assert found.ends_at[1] > found.starts_at[1]


def test_two_workers_are_twice_as_quick() -> None:
    one = now(ahead=Ahead(104, 6), states=[state()])
    two = now(ahead=Ahead(108, 6), states=[state(), state(worker="w1")])
    assert one.place == two.place == 100
    assert one.starts_at is not None
    assert two.starts_at is not None
    assert two.starts_at[1] - NOW == pytest.approx((one.starts_at[1] - NOW) / 2, rel=0.1)


def test_an_open_breaker_keeps_it_waiting_until_it_is_tried_again() -> None:
    shut = state(opens_again_at=NOW + 500, breaker="open")
    found = now(ahead=Ahead(4, 6), states=[shut])
    assert found.starts_at is not None
    assert found.starts_at[1] > NOW + 500


def test_workers_that_are_silent_or_new_promise_nothing() -> None:
    found = now(ahead=Ahead(10, 6), states=[state(at=NOW - 60)])
    assert (found.place, found.starts_at) == (10, None)
    assert "No worker of azure" in found.why
    found = now(ahead=Ahead(14, 6), states=[state(speed=None)])
    assert (found.place, found.starts_at, found.why) == (10, None, "")


def test_work_that_is_done_without_a_completion_is_nowhere() -> None:
    assert now(is_done=True).state == "nowhere"
    assert now(is_done=True, work=None).state == "nowhere"


def test_as_json_times_are_rfc_3339_and_what_is_not_known_is_null() -> None:
    shown = now(told=replace(said(NOW), starts_at=(0.0, 1.0))).as_json()
    assert shown["starts_at"] == ["1970-01-01T00:00:00.000Z", "1970-01-01T00:00:01.000Z"]
    assert shown["completed_at"] is None
    assert shown["state"] == "waiting"


def test_what_another_worker_said_before_the_move_says_nothing_of_it_now() -> None:
    work = work_of("p1", T, step("azure", at=T + 0.1))
    moved = work.moved(step("google", at=NOW - 0.5), attempt=1)
    old = said(NOW - 0.7)
    found = now(work=moved, told=old, ahead=Ahead(3, 2), states=[state(provider="google")])
    assert (found.provider, found.moves, found.said_at) == ("google", 1, None)
    assert found.why.startswith("Moved: ")
    # And the word of the one that gave it away is the new one's, before that has spoken.
    found = now(work=moved, told=replace(old, provider="google", worker="", place=None))
    assert (found.provider, found.worker, found.place) == ("google", None, None)
    assert found.ends_at == old.ends_at


def test_what_its_tenant_s_rate_holds_starts_no_sooner() -> None:
    held = replace(work_of("p1", T, step("azure", at=T + 0.1)), not_before=NOW + 300)
    found = now(work=held, ahead=Ahead(4, 6), states=[state()])
    assert found.held_until == NOW + 300
    assert found.starts_at is not None
    assert found.starts_at[0] >= NOW + 300
    assert now(work=replace(held, not_before=NOW - 1)).held_until is None


def test_what_is_tried_again_says_what_failed() -> None:
    calls = [
        call_of("p1", 1, T + 1),
        call_of("p1", 1, T + 2, ended=True, outcome="retry", code="503"),
    ]
    assert now(calls=calls, states=[state()]).why == "Call 1 failed (503), and it is tried again."
