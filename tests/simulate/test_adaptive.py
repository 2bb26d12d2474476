"""A replay whose workers find out themselves how many calls at once a provider takes."""

from collections.abc import Mapping
from typing import Any

import pytest

from broker.core.concurrency import Begun, ConcurrencyLimit
from broker.simulate.figures import Figures, figures_of
from broker.simulate.replay import Replay
from broker.simulate.scenarios import of_traces
from tests.simulate.made import asked, replayed, settings_of


def with_places(places: int, *, adaptive: bool) -> dict[str, Mapping[str, Any]]:
    """One cloud with so many places."""
    served = {"dialect": "azure", "models": {"chat-small": "gpt-5-mini"}}
    cloud = {"slots": places, "queue": places, "first_token_s": 0.35, "per_token_s": 0.016}
    return {
        "providers": {"azure": {**served, "adaptive": adaptive, "max_in_flight": places}},
        "simulator": {"clouds": {"azure": cloud}},
    }


def test_a_replayed_worker_is_never_late_and_watches_how_old_its_calls_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In virtual time nothing is late, also not the first call after a quiet hour."""
    late: list[float] = []
    watched: list[bool] = []
    answered = ConcurrencyLimit.answered

    def heard(limit: ConcurrencyLimit, begun: Begun, *told: Any, late_s: float) -> None:
        late.append(late_s)
        watched.append(begun.aged is not None)
        answered(limit, begun, *told, late_s=late_s)

    monkeypatch.setattr(ConcurrencyLimit, "answered", heard)
    prompts = [
        asked(number, 3_600.0 * (number // 60) + 0.2 * (number % 60)) for number in range(180)
    ]
    replayed(settings_of(**with_places(24, adaptive=True)), prompts)
    assert max(late) < 1e-3
    assert all(watched[60:])


def test_a_traces_first_burst_waits_little_longer_than_where_places_are_known() -> None:
    """Answers of real lengths, quiet at first: a limit that chance has lowered meets the burst."""
    found, known = (_of_real_lengths(adaptive=adaptive) for adaptive in (True, False))
    assert found.latency.p95 is not None
    assert known.latency.p95 is not None
    assert found.latency.p95 <= known.latency.p95 + 5_000


def _of_real_lengths(*, adaptive: bool) -> Figures:
    settings = settings_of(**with_places(60, adaptive=adaptive))
    scenario = of_traces(settings, ["conv", "code"], prompts=3_000, speed=1.0, seed=1)
    clouds = scenario.clouds(settings)
    replay = Replay(settings, scenario.prompts, clouds, delays=scenario.delays, seed=scenario.seed)
    return figures_of(replay.run())
