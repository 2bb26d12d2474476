"""The same prompts by several policies, one replay after the other."""

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from broker.settings import Settings
from broker.simulate.asked import Asked
from broker.simulate.figures import Figures, figures_of
from broker.simulate.fitted import ProviderFit
from broker.simulate.policies import Policy
from broker.simulate.replay import Delays, MakeCloud, Replay

AS_IT_WAS: Final = "as it was"
"""The name of the log's own figures among those of the policies."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is replayed, the same for every policy. `sources` says where it is from, for people."""

    prompts: Sequence[Asked] = field(repr=False)
    clouds: Callable[[Settings], MakeCloud]
    delays: Delays
    seed: int
    sources: str
    notes: tuple[str, ...] = ()
    fits: Mapping[str, ProviderFit] = field(default_factory=dict)
    as_it_was: Figures | None = None
    """How the log itself ended, to be compared with."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The figures of each policy by its name; `prompts_s` are prompts a second of CPU time."""

    results: tuple[tuple[str, Figures], ...]
    prompts_s: float

    def as_json(self, scenario: Scenario) -> dict[str, Any]:
        """For programs; the same for the same input and seed."""
        return {
            "sources": scenario.sources,
            "prompts": len(scenario.prompts),
            "seed": scenario.seed,
            "notes": list(scenario.notes),
            "providers": {name: fit.as_json() for name, fit in scenario.fits.items()},
            "policies": {name: one.as_json() for name, one in self.results},
        }


def compare(scenario: Scenario, policies: Sequence[Policy], say: Callable[[str], None]) -> Compared:
    """Replay by each policy; `say` is told how far it is."""
    results, spent = [], 0.0
    if scenario.as_it_was is not None:
        results.append((AS_IT_WAS, scenario.as_it_was))
    for policy in policies:
        began = time.process_time()
        replay = Replay(
            policy.settings,
            scenario.prompts,
            scenario.clouds(policy.settings),
            delays=scenario.delays,
            seed=scenario.seed,
            workers=policy.workers,
        )
        with _without_collector():
            outcome = replay.run()
        took = time.process_time() - began
        spent += took
        say(f"{policy.name}: {len(scenario.prompts):,} prompts in {took:.1f} s of CPU time")
        results.append((policy.name, figures_of(outcome)))
    prompts = len(scenario.prompts) * len(policies)
    return Compared(tuple(results), prompts / spent if spent else 0.0)


@contextmanager
def _without_collector() -> Iterator[None]:
    """A replay makes many objects and next to no cycles: looking for those takes a sixth of it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
