"""Several routers with equally old views, in virtual time: nobody is flooded, nothing swings."""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from broker.core.lanes import LANES
from broker.core.policies import Policy, PolicyName
from broker.core.provider_view import ProviderView
from broker.core.routing import Decision, Request, RoutingRules, choose
from broker.records.providers import BreakerState, ProviderState

ROUTERS = 4
SLOTS = 16
WEIGHT = 300
SLOT_SPEED = 500.0
STEP_S = 0.01
RULES = RoutingRules(dict.fromkeys(LANES, 2.0))


@dataclass
class Cloud:
    """Serves `SLOTS` prompts at once, each for `WEIGHT / SLOT_SPEED` seconds; reports each second.

    While `down` everything that comes waits, and its breaker is said to be open.
    """

    name: str
    queue: int = 0
    running: list[float] = field(default_factory=list)
    down: bool = False
    back_at: float | None = None

    def step(self, now: float) -> None:
        self.running = [ends for ends in self.running if ends > now]
        while not self.down and self.queue and len(self.running) < SLOTS:
            self.queue -= 1
            self.running.append(now + WEIGHT / SLOT_SPEED)

    def report(self, now: float) -> ProviderState:
        breaker: BreakerState = "open" if self.down else "closed"
        return ProviderState(
            provider=self.name,
            worker="0",
            at=now,
            breaker=breaker,
            in_flight=len(self.running),
            slots=SLOTS,
            waiting=self.queue,
            waiting_weight=self.queue * WEIGHT,
            speed=SLOTS * SLOT_SPEED,
            waiting_by_lane={},
            in_flight_by_lane={},
            opens_again_at=now + 9 if self.down else None,
            waiting_weight_by_lane={"light": self.queue * WEIGHT},
            calls_take={"": (WEIGHT / SLOT_SPEED, 0.0)},
            back_at=self.back_at,
        )


class World:
    """Routers that share the traffic, and hear of each report at the same time."""

    def __init__(self, policy: PolicyName, seed: int, *, share: float = 1 / ROUTERS) -> None:
        self.drawn = random.Random(seed)
        self.policy = Policy(policy)
        self.clouds = {name: Cloud(name) for name in ("a", "b", "c")}
        self.views = [ProviderView(0.0) for _ in range(ROUTERS)]
        for view in self.views:
            view.share = share
        self.now = 100.0
        self.due = 0.0
        self.went: Counter[str] = Counter()

    def run(self, seconds: float, load: float) -> Iterator[None]:
        """Prompts come at this share of all clouds' speed; yields at each report."""
        rate = load * len(self.clouds) * SLOTS * SLOT_SPEED / WEIGHT
        ends, reports_at = self.now + seconds, self.now
        while self.now < ends:
            for cloud in self.clouds.values():
                cloud.step(self.now)
            if self.now >= reports_at:
                told = {name: (cloud.report(self.now),) for name, cloud in self.clouds.items()}
                for view in self.views:
                    view.update(told)
                reports_at += 1.0
                yield
            self.due += rate * STEP_S
            while self.due >= 1:
                self.due -= 1
                self._route(self.views[self.drawn.randrange(ROUTERS)])
            self.now += STEP_S

    def _route(self, view: ProviderView) -> None:
        request = Request("light", WEIGHT, output_tokens=60, luck=self.drawn.random())
        shown = view.candidates(tuple(self.clouds), self.now, "light")
        chosen = choose(request, shown, RULES, self.policy)
        assert isinstance(chosen, Decision)
        view.sent(chosen.provider, WEIGHT, self.now, "light")
        self.clouds[chosen.provider].queue += 1
        self.went[chosen.provider] += 1

    def backlog_s(self, name: str) -> float:
        """Seconds that a cloud would take for what waits there."""
        return self.clouds[name].queue * WEIGHT / (SLOTS * SLOT_SPEED)


@pytest.mark.parametrize("seed", range(3))
def test_the_fastest_of_equals_is_not_flooded_by_routers_that_all_think_so(seed: int) -> None:
    world = World("fastest", seed)
    gaps = []
    for at, _ in enumerate(world.run(40.0, 0.9)):
        if at >= 5:
            waits = [world.backlog_s(name) for name in world.clouds]
            gaps.append(max(waits) - min(waits))
    assert max(gaps) < 0.6, gaps
    parts = [world.went[name] / world.went.total() for name in world.clouds]
    assert parts == pytest.approx([1 / 3] * 3, abs=0.05)


@pytest.mark.parametrize("seed", range(3))
def test_overflow_holds_the_preferred_one_at_its_limit_and_does_not_swing(seed: int) -> None:
    world = World("overflow", seed)
    waits = [world.backlog_s("a") for _ in world.run(40.0, 0.8)][5:]
    assert max(waits) < 2.0 * 1.3, waits
    assert min(waits) > 0.5, waits
    assert max(world.backlog_s(name) for name in world.clouds) < 3.0


def test_without_knowing_of_each_other_they_would_flood_it() -> None:
    """What the share is for: the same world, with each router thinking that it is alone."""
    alone = World("overflow", 1, share=1.0)
    waits = [alone.backlog_s("a") for _ in alone.run(20.0, 0.8)][5:]
    assert max(waits) > 2.0 * 1.3


@pytest.mark.parametrize("policy", ["overflow", "fastest"])
def test_a_provider_that_comes_back_gets_its_work_little_by_little(policy: PolicyName) -> None:
    world = World(policy, 7)
    world.clouds["a"].down = True
    for _ in world.run(10.0, 0.6):
        pass
    assert world.clouds["a"].queue == 0
    world.clouds["a"].down, world.clouds["a"].back_at = False, world.now
    shares, waits = [], []
    before = world.went.copy()
    for _ in world.run(25.0, 0.6):
        new = world.went - before
        shares.append(new["a"] / max(1, new.total()))
        waits.append(world.backlog_s("a"))
        before = world.went.copy()
    assert max(waits[:15]) < 2.0 * 1.3, waits
    early, late = sum(shares[1:4]) / 3, sum(shares[-5:]) / 5
    assert early < 0.6 * late, shares
    assert late > 0.3, shares
