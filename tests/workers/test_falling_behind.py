"""Work leaves a provider that falls behind: heaviest first, only where it is sooner, never back."""

import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.breaker import Breaker, BreakerRules
from broker.core.constraints import Constraint
from broker.core.lanes import LANES, Lane
from broker.core.policies import Policy
from broker.core.route_reasons import Reason
from broker.core.route_terms import RouteTerms
from broker.core.routing import RoutingRules
from broker.records.prompt import Catalog
from broker.records.providers import ProviderState
from broker.records.work import RouteStep
from tests.workers.building import MODEL, PROVIDERS, job, partition_of, report, work
from workers.ends import Move
from workers.falling_behind import LOOK_S, MOST_A_LOOK, FallingBehind
from workers.job import Job
from workers.leaving import Leaving
from workers.moving import Mover

CATALOG = Catalog({MODEL: "chat"}, {"chat": MODEL}, {MODEL: PROVIDERS})
LIMITS: dict[Lane, float] = {"light": 4.0, "medium": 2.0, "heavy": 1.0, "batch": 60.0}
TAKES = {MODEL: (0.5, 0.01)}


class Site:
    """Each provider's worker, with its queue; reports are made anew at each look."""

    def __init__(self, policy: Policy | None = None, **terms: object) -> None:
        self.now = time.time()
        self.jobs: dict[str, list[Job]] = {name: [] for name in PROVIDERS}
        self.speeds = dict.fromkeys(PROVIDERS, 1_000.0)
        self.reports: dict[str, Sequence[ProviderState]] = {}
        known = RouteTerms(CATALOG, RoutingRules(LIMITS), policy or Policy())
        self.movers = {
            name: Mover(
                terms=replace(known, **terms),  # type: ignore[arg-type]  # fields by name
                reports=self._reported,
                now=self.now,
                provider=name,
                worker=f"{name}-0",
            )
            for name in PROVIDERS
        }
        self.behind = {name: FallingBehind(mover) for name, mover in self.movers.items()}
        self.tell()

    def _reported(self) -> Mapping[str, Sequence[ProviderState]]:
        return self.reports

    def put(self, at: str, number: int, weight: int, lane: Lane = "light", **more: object) -> None:
        """Work that waits at a provider."""
        for count in range(number):
            given = work(f"{at}{count}", weight=weight, route=(at,), **more)  # type: ignore[arg-type]  # as given
            self.jobs[at].append(job(given, partition=partition_of(lane)))
        self.tell()

    def tell(self) -> None:
        for name, waiting in self.jobs.items():
            lanes = {
                lane: sum(one.work.weight for one in waiting if one.lane == lane) for lane in LANES
            }
            self.reports[name] = (
                report(
                    name,
                    at=self.now,
                    waiting_weight=sum(lanes.values()),
                    waiting_weight_by_lane=lanes,
                    speed=self.speeds[name],
                    in_flight=8,
                    calls_take=TAKES,
                ),
            )

    def look(self, name: str) -> list[tuple[Job, Move]]:
        """What leaves now; it arrives at once."""

        def waiting_in(lane: Lane) -> Iterable[Job]:
            return [one for one in self.jobs[name] if one.lane == lane]

        moved = []
        for one, move in self.behind[name].moves(waiting_in, self.now):
            self.movers[name].moved(one, move.to.provider, self.now)
            self.jobs[name].remove(one)
            step = RouteStep(
                move.to.provider, move.to.sentence, self.now, str(move.to.reason), move.to.notes
            )
            there = job(one.work.moved(step, attempt=0), partition=one.place.partition)
            self.jobs[move.to.provider].append(there)
            moved.append((one, move))
        return moved

    def later(self, seconds: float = LOOK_S) -> None:
        self.now += seconds
        self.tell()


def test_a_provider_that_became_slow_gives_away_its_heaviest_work_with_the_reason() -> None:
    site = Site()
    for weight in (300, 900, 600):
        site.put("azure", 40, weight)
    assert site.speeds["azure"] == 1_000.0
    site.speeds["azure"] = 100.0
    site.later()
    moved = site.look("azure")
    weights = [one.work.weight for one, _ in moved]
    assert weights == sorted(weights, reverse=True)
    assert weights[0] == 900
    assert {move.to.reason for _, move in moved} == {Reason.BEHIND}
    assert moved[0][1].to.sentence.startswith("azure is behind with a wait of 720.0 s, google")
    assert all(move.to.provider != "azure" for _, move in moved)


def test_heavy_lanes_leave_before_light_ones() -> None:
    site = Site()
    site.speeds["azure"] = 100.0
    site.put("azure", 6, 500, "light")
    site.put("azure", 6, 400, "heavy")
    site.later()
    lanes = [one.lane for one, _ in site.look("azure")]
    assert lanes[0] == "heavy"
    assert lanes == sorted(lanes)


def test_under_twice_the_limit_everything_stays() -> None:
    site = Site()
    site.put("azure", 20, 375)
    assert site.look("azure") == []


def test_it_goes_on_until_the_wait_is_under_the_limit_and_then_stops() -> None:
    site = Site()
    site.speeds["google"] = 10_000.0
    site.put("azure", 24, 375)
    assert site.movers["azure"].here("light", site.now) is not None
    site.later()
    left = []
    for _ in range(6):
        left.append(len(site.look("azure")))
        site.later()
    here = site.movers["azure"].here("light", site.now)
    assert here is not None
    assert here.wait_s <= LIMITS["light"]
    assert left[0] > 0
    assert left[-1] == 0


def test_nobody_moves_where_it_would_not_be_much_sooner() -> None:
    site = Site()
    for name in PROVIDERS:
        site.put(name, 100, 375)
    site.later()
    assert site.look("azure") == []


def test_one_look_moves_no_more_than_its_bound() -> None:
    site = Site()
    site.speeds.update(azure=1.0, google=1e6, coreweave=1e6)
    site.put("azure", 3 * MOST_A_LOOK, 100)
    site.later()
    assert len(site.look("azure")) == MOST_A_LOOK
    assert site.look("azure") == []
    site.later()
    assert len(site.look("azure")) == MOST_A_LOOK


def test_pins_and_constraints_hold_for_work_that_waits_too() -> None:
    allowed = Constraint(regions=frozenset({"eu"}))
    regions = {"azure": "eu", "google": "us", "coreweave": "eu"}
    site = Site(Policy(allowed=allowed), regions=regions)
    site.speeds["azure"] = 10.0
    site.put("azure", 30, 100, fields={"provider": "azure"})
    site.later()
    assert site.look("azure") == []
    site.jobs["azure"].clear()
    site.put("azure", 30, 100)
    site.later()
    moved = site.look("azure")
    assert moved
    assert {move.to.provider for _, move in moved} == {"coreweave"}


def test_work_that_may_not_leave_keeps_no_lighter_work_from_leaving() -> None:
    eu = Policy(allowed=Constraint(regions=frozenset({"eu"})))
    regions = {"azure": "eu", "google": "us", "coreweave": "us"}
    site = Site(by_tenant={"bank": eu}, regions=regions)
    site.speeds["azure"] = 10.0
    site.put("azure", 2 * MOST_A_LOOK, 900, tenant="bank")
    site.put("azure", 20, 100, tenant="shop")
    site.later()
    assert {one.work.tenant for one, _ in site.look("azure")} == {"shop"}


def test_two_workers_that_see_the_same_do_not_both_fill_the_same_one() -> None:
    site = Site()
    site.speeds.update(azure=10.0, google=100.0, coreweave=100.0)
    site.put("azure", 60, 100)
    site.later()
    alone = len(site.look("azure"))
    beside = Site()
    beside.speeds.update(site.speeds)
    beside.put("azure", 60, 100)
    beside.later()
    mine = beside.reports["azure"][0]
    beside.reports["azure"] = (mine, replace(mine, worker="azure-1"))
    half = len(beside.look("azure"))
    assert 0 < half <= 0.7 * alone


def test_what_bars_one_tenants_work_keeps_no_other_from_leaving_a_provider_that_is_off() -> None:
    eu = Policy(allowed=Constraint(regions=frozenset({"eu"})))
    regions = {"azure": "eu", "google": "us", "coreweave": "us"}
    site = Site(by_tenant={"bank": eu}, regions=regions)
    site.put("azure", 3, 900, tenant="bank")
    site.put("azure", 3, 100, tenant="shop")
    here = SimpleNamespace(breaker=Breaker(BreakerRules()), mover=site.movers["azure"])
    moved = list(Leaving(here).while_off(lambda: list(site.jobs["azure"]), site.now))
    assert [one.work.tenant for one, _ in moved] == ["shop"] * 3
    assert {move.to.reason for _, move in moved} == {Reason.BREAKER}


@pytest.mark.timeout(60)
@given(st.integers(0, 2**32))
def test_whatever_the_speeds_do_moves_end_and_nothing_comes_back(seed: int) -> None:
    drawn, site = random.Random(seed), Site()
    for name in PROVIDERS:
        site.put(name, drawn.randrange(12), drawn.choice([50, 400, 2_000]), drawn.choice(LANES))
    total = sum(len(waiting) for waiting in site.jobs.values())
    quiet = 0
    for _ in range(40):
        if drawn.random() < 0.3:
            site.speeds[drawn.choice(PROVIDERS)] = drawn.choice([5.0, 50.0, 1e4])
        site.later(drawn.choice([0.1, 0.6, 1.0]))
        moved = [pair for name in PROVIDERS for pair in site.look(name)]
        quiet = 0 if moved else quiet + 1
        for one, move in moved:
            assert move.to.provider not in [step.provider for step in one.work.route]
    assert sum(len(waiting) for waiting in site.jobs.values()) == total
    for waiting in site.jobs.values():
        for one in waiting:
            been = [step.provider for step in one.work.route]
            assert len(been) == len(set(been)) <= 4
