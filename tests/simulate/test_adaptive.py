"""A replay whose workers find out themselves how many calls at once a provider takes."""

from collections.abc import Mapping
from typing import Any

import pytest

from broker.core.concurrency import Begun, ConcurrencyLimit
from broker.simulate.figures import figures_of
from tests.simulate.made import asked, replayed, settings_of

PLACES = 24


def with_places(*, adaptive: bool) -> dict[str, Mapping[str, Any]]:
    """One cloud whose places are known to be `PLACES`, or must be found."""
    served = {"dialect": "azure", "models": {"chat-small": "gpt-5-mini"}}
    most = 4 * PLACES if adaptive else PLACES
    cloud = {"slots": PLACES, "queue": PLACES, "first_token_s": 0.4, "per_token_s": 0.01}
    return {
        "providers": {"azure": {**served, "adaptive": adaptive, "max_in_flight": most}},
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
    replayed(settings_of(**with_places(adaptive=True)), prompts)
    assert max(late) < 1e-3
    assert all(watched[60:])


def test_a_burst_after_a_quiet_time_waits_little_longer_than_where_places_are_known() -> None:
    """A few calls at once for a minute, and then for a while nearly as many as there are places."""
    lengths = (30, 200)
    quiet = [asked(n, n / 2, tokens_out=lengths[n % 2]) for n in range(120)]
    burst = [asked(120 + n, 60 + n / 13, tokens_out=lengths[n % 2]) for n in range(1_500)]
    found, known = (
        figures_of(replayed(settings_of(**with_places(adaptive=adaptive)), quiet + burst))
        for adaptive in (True, False)
    )
    assert found.latency.p95 is not None
    assert known.latency.p95 is not None
    assert found.latency.p95 <= known.latency.p95 + 3_000
