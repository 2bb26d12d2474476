"""One of three providers down for a minute: the promised figures, with real processes.

`make bench` has the ratio as a figure; here the promise has its whole oracle as well.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pytest

from broker.bench.figures import quantile
from broker.log.embedded import Running
from broker.settings import Settings
from tests.faults.answers import Seen
from tests.faults.provider_faults import Down, down_for, wait_used_again
from tests.faults.rig import Rig, fault_settings, rigged

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

PROVIDERS: Final = ("azure", "google", "coreweave")
SLOTS: Final = 12
CALL_S: Final = 0.2
ROOM: Final = SLOTS / CALL_S
"""Prompts a second that one provider can answer, of whatever weight."""
LOAD: Final = 0.6
"""Of the room of those that are left."""
WAIT_S: Final = 0.25
SETTLED_S: Final = 8.0
USUAL_S: Final = 20.0
DOWN_S: Final = 60.0
WORST: Final = 3.0
"""Times the usual p95 of light prompts."""
BACK_S: Final = 15.0
"""So soon after its return a provider has prompts again; so long later it has its share."""


@pytest.mark.parametrize("how", ["error", "cut"])
def test_a_provider_down_for_a_minute_fails_nothing_and_light_prompts_hardly_wait(
    how: str, kafka: Running, prefix: str, tmp_path: Path
) -> None:
    settings = three_clouds(kafka.bootstrap, prefix)
    with rigged(settings, tmp_path, rate=LOAD * ROOM * (len(PROVIDERS) - 1)) as rig:
        out: list[Down] = []
        back: list[float] = []

        def outage() -> None:
            out.append(down_for(rig, PROVIDERS[:1], DOWN_S, how))
            back.append(wait_used_again(rig, PROVIDERS[0], out[0].ended, 2 * BACK_S))

        rig.trial(outage, before_s=SETTLED_S + USUAL_S, after_s=2 * BACK_S)
        rig.expect_exactly_once()
        expect_figures(rig, out[0], back[0])


def three_clouds(bootstrap: str, prefix: str) -> Settings:
    cloud = {"first_token_s": CALL_S, "per_token_s": 0.0, "spread": 0.1, "slots": SLOTS}
    provider: dict[str, Any] = {"models": {"chat-small": "stand-in"}, "max_in_flight": SLOTS}
    return fault_settings(
        bootstrap,
        prefix,
        providers=dict.fromkeys(PROVIDERS, provider),
        simulator={"speed": 1.0, "clouds": dict.fromkeys(PROVIDERS, cloud)},
        routing={"light_wait_s": WAIT_S, "medium_wait_s": WAIT_S, "heavy_wait_s": WAIT_S},
    )


def expect_figures(rig: Rig, out: Down, back_s: float) -> None:
    """Nothing failed, light prompts were quick, and the provider was soon used as before."""
    accepted = rig.traffic.accepted
    ends = {identity: rig.answers.of(identity)[0] for identity in accepted}
    assert {seen.status for seen in ends.values()} == {"succeeded"}

    def light_p95(begins: float, before: float) -> float:
        taken = [
            ends[identity].at - at
            for identity, at in accepted.items()
            if begins <= at < before and ends[identity].lane == "light"
        ]
        assert len(taken) > ROOM
        return quantile(sorted(taken), 0.95)

    usual = light_p95(out.began - USUAL_S, out.began)
    during = light_p95(out.began, out.began + DOWN_S)
    share = _share(ends.values(), out.began - USUAL_S, out.began)
    again = _share(ends.values(), out.ended + BACK_S, out.ended + 2 * BACK_S)
    print(  # noqa: T201 - the soak shows its figures
        f"light p95 {usual:.3f} s, {during:.3f} s while down ({during / usual:.2f} times); used "
        f"again after {back_s:.1f} s; its share {share:.2f}, and {again:.2f} from {BACK_S:.0f} s on"
    )
    assert during < WORST * usual
    assert back_s < BACK_S
    assert again > share / 2


def _share(ends: Iterable[Seen], begins: float, before: float) -> float:
    """Of all answers of that time, those of the provider that was down."""
    then = [seen for seen in ends if begins <= seen.at < before]
    return sum(seen.provider == PROVIDERS[0] for seen in then) / len(then)
