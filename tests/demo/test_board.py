"""The picture of the demonstration: what is folded, what is drawn."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from broker.demo.board import Board
from broker.demo.scenario import plan_faults
from broker.demo.table import Progress, draw, verdict
from broker.records.completion import Completion
from broker.records.providers import ProviderState
from broker.records.work import RouteStep

PROVIDERS = ("openai", "azure", "google")
DONE = Completion(
    id="a",
    tenant="t",
    status="succeeded",
    kind="chat",
    model="m",
    provider="azure",
    provider_model="p",
    lane="light",
    weight=10,
    input_tokens=1,
    output_tokens=2,
    cost_usd=None,
    accepted_at=100.0,
    completed_at=102.0,
    queued_ms=1,
    provider_ms=2,
    calls=1,
    route=(RouteStep("openai", "openai waits 0.0 s, limit 1 s", 100.0),),
)
MOVED = replace(
    DONE,
    id="b",
    lane="heavy",
    route=(
        RouteStep("azure", "openai waits 2.0 s of 0.5 s for heavy, azure waits 0.0 s", 100.0),
        RouteStep("google", "azure 503, 2 times, google waits 0.0 s", 101.0),
    ),
)
COUNTS = {
    "accepted": 2,
    "completed": 2,
    "lost": 0,
    "duplicates": 0,
    "pending": 0,
    "calls": 3,
    "repeated_calls": 0,
    "cost_usd": 0.25,
    "repeats_cost_usd": None,
    "providers": {},
    "lanes": {
        "heavy": {
            "completed": 1,
            "calls": 2,
            "moves_in": 1,
            "moves_out": 1,
            "cost_usd": 0.125,
            "latency_ms": {"p50": 2000.0, "p95": 2000.0, "p99": None},
        }
    },
}


def text_of(drawn: object) -> str:
    console = Console(width=110, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as captured:
        console.print(drawn)
    return captured.get()


def test_what_went_elsewhere_and_moved_is_counted_with_its_reason() -> None:
    board = Board(PROVIDERS)
    board.completed(DONE)
    board.completed(MOVED)
    assert board.elsewhere == {"heavy": 1}
    assert board.moves == {("azure", "google"): 1}
    shown = text_of(verdict(COUNTS, board))
    assert "azure 503, 2 times" in shown
    assert "openai waits 2.0 s of 0.5 s for heavy" in shown
    assert "$0.1250" in shown
    assert "all calls cost $0.2500, of it repeats ·" in " ".join(shown.split())
    assert "accepted 2, completed 2, lost 0, duplicates 0" in shown


WAITING = ProviderState(
    provider="openai",
    worker="0",
    at=1.0,
    breaker="closed",
    in_flight=8,
    slots=8,
    waiting=30,
    waiting_weight=9_000,
    speed=1_000.0,
    waiting_by_lane={"light": 10, "heavy": 20},
    in_flight_by_lane={"light": 8},
    waiting_weight_by_lane={"light": 1_000, "heavy": 8_000},
)


def test_a_light_prompt_is_expected_to_start_before_the_heavy_ones_that_wait() -> None:
    board = Board(PROVIDERS)
    board.states({"openai": [WAITING, replace(WAITING, worker="1")]})
    starts = {row.lane: row.starts_in for row in board.rows()}
    assert starts["light"] is not None
    assert starts["heavy"] is not None
    assert 1.0 <= starts["light"] < starts["heavy"] <= 18_000 / (0.75 * 2_000)
    assert f"{starts['light']:.2f}" in text_of(draw(board, Progress(1, 2, 3.0), []))


def test_each_tenant_has_a_line_of_its_own() -> None:
    board = Board(PROVIDERS)
    board.completed(DONE)
    board.completed(replace(DONE, id="c", tenant="loud", completed_at=130.0))
    assert [(one.tenant, one.done, one.p95) for one in board.tenants()] == [
        ("loud", 1, 30.0),
        ("t", 1, 2.0),
    ]
    assert "loud" in text_of(verdict(COUNTS, board))


def test_the_live_table_has_a_row_for_each_lane_with_work() -> None:
    board = Board(PROVIDERS)
    board.completed(DONE)
    board.states(
        {
            "openai": [
                ProviderState(
                    provider="openai",
                    worker="0",
                    at=1.0,
                    breaker="open",
                    in_flight=1,
                    slots=8,
                    waiting=3,
                    waiting_weight=9,
                    speed=None,
                    waiting_by_lane={"medium": 3},
                    in_flight_by_lane={"medium": 1},
                )
            ]
        }
    )
    rows = [(row.provider, row.lane, row.breaker, row.waiting) for row in board.rows()]
    assert rows == [("openai", "medium", "open", 3), ("azure", "light", "no worker", 0)]
    shown = text_of(draw(board, Progress(1, 2, 3.0), ["something happened"]))
    assert "sent 1/2" in shown
    assert "something happened" in shown


@given(st.floats(1, 1_000), st.integers(1, 6))
def test_faults_fall_inside_the_replay_and_hit_what_there_is(length: float, count: int) -> None:
    providers = [f"p{number}" for number in range(count)]
    faults = plan_faults(length, providers)
    assert {fault.kind for fault in faults} == {"kill_worker", "kill_classifier", "outage"}
    assert all(0 < fault.at_s < length for fault in faults)
    names = {"classifier", *providers, *(f"worker-{name}" for name in providers)}
    assert all(fault.target in names and fault.sentence for fault in faults)


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_quantiles_are_of_what_came(share: float) -> None:
    board = Board(PROVIDERS)
    for number in range(100):
        board.completed(replace(DONE, completed_at=100.0 + number))
    (row,) = board.rows()
    assert {0.5: row.p50, 0.95: row.p95}[share] == 100 * share
