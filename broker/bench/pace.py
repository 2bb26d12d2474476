"""How long and how often everything is measured."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Pace:
    """Times are seconds, counts are prompts."""

    runs: int
    warm_s: float
    warm_rate: float
    steady_s: float
    screen_s: float
    hold_s: float
    search_s: float
    """For the whole search of the highest rate."""
    classifier_backlog: int
    worker_backlog: int
    kill_after_s: float
    kill_rest_s: float
    in_flight: int
    lanes_alone_s: float
    lanes_beside_s: float
    noisy_alone_s: float
    noisy_beside_s: float
    dispatches: int
    quota_s: float
    quota_window_s: int
    """A limit per minute is judged over all stretches of so many seconds."""
    usual_s: float
    down_s: float
    eta_prompts: int
    quick: bool = False


FULL: Final = Pace(
    runs=3,
    warm_s=60.0,
    warm_rate=300.0,
    steady_s=15.0,
    screen_s=5.0,
    hold_s=20.0,
    search_s=360.0,
    classifier_backlog=50_000,
    worker_backlog=20_000,
    kill_after_s=4.0,
    kill_rest_s=8.0,
    in_flight=10_000,
    lanes_alone_s=12.0,
    lanes_beside_s=15.0,
    noisy_alone_s=15.0,
    noisy_beside_s=25.0,
    dispatches=200_000,
    quota_s=75.0,
    quota_window_s=60,
    usual_s=15.0,
    down_s=60.0,
    eta_prompts=800,
)
QUICK: Final = Pace(
    runs=1,
    warm_s=3.0,
    warm_rate=100.0,
    steady_s=3.0,
    screen_s=2.0,
    hold_s=3.0,
    search_s=40.0,
    classifier_backlog=5_000,
    worker_backlog=2_000,
    kill_after_s=2.0,
    kill_rest_s=6.0,
    in_flight=1_000,
    lanes_alone_s=4.0,
    lanes_beside_s=6.0,
    noisy_alone_s=4.0,
    noisy_beside_s=12.0,
    dispatches=20_000,
    quota_s=20.0,
    quota_window_s=10,
    usual_s=5.0,
    down_s=8.0,
    eta_prompts=250,
    quick=True,
)
