"""What is replayed: prompts, the providers' models, and what the broker itself adds."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from broker.classifier.tokens import token_counter
from broker.settings import Settings
from broker.simulate.compare import Scenario
from broker.simulate.figures import figures_of
from broker.simulate.fitted_clouds import fitted_clouds
from broker.simulate.from_log import Logged
from broker.simulate.models import simulated_clouds
from broker.simulate.replay import Delays
from broker.simulate.traces import read_traces

_JOURNAL_S: Final = 0.003
"""What a call waits for the journal: its HTTP is in the measured times."""


def of_traces(
    settings: Settings,
    names: Sequence[str],
    *,
    prompts: int | None = None,
    speed: float = 1.0,
    seed: int = 1,
) -> Scenario:
    """Recorded arrivals against the clouds of `[simulator]`; raises UsageError."""
    counter = partial(token_counter, settings.classifier.count_up_to_bytes)
    asked = read_traces(names, settings.catalog(), counter, prompts=prompts, speed=speed)
    told = " and ".join(names)
    return Scenario(
        prompts=asked,
        clouds=simulated_clouds,
        delays=Delays(),
        seed=seed,
        sources=told if speed == 1.0 else f"{told}, {speed:g} times as fast",
        notes=("Providers behave as [simulator.clouds] says.",),
    )


def of_log(logged: Logged, seed: int) -> Scenario:
    """The log's prompts against providers that behave as its calls did."""
    notes = [f"Left out: {count:,} {why}." for why, count in sorted(logged.left_out.items())]
    for name, fit in logged.fits.items():
        places = "no bound seen" if fit.slots is None else f"{fit.slots} places"
        failed = sum(one.share for one in fit.failures)
        notes.append(
            f"{name}: fitted to {fit.calls:,} calls, {places}, {failed:.1%} of them failed, "
            f"{len(fit.outages)} outages."
        )
    delays = Delays(call_s=_JOURNAL_S)
    if logged.route_s is not None:
        delays = replace(delays, route_s=logged.route_s)
    return Scenario(
        prompts=logged.prompts,
        clouds=lambda settings: fitted_clouds(logged.fits, settings, seed),
        delays=delays,
        seed=seed,
        sources="the log",
        notes=tuple(notes),
        fits=logged.fits,
        as_it_was=figures_of(logged.as_it_was),
    )
