"""Where work goes that this provider cannot do."""

import time
from collections.abc import Mapping, Sequence

from broker.core.constraints import Constraint
from broker.core.lanes import LANES
from broker.core.policies import Policy
from broker.core.route_terms import RouteTerms
from broker.core.routing import Decision, NoDecision, NoReason, Reason, RoutingRules
from broker.records.prompt import Catalog, Offer
from broker.records.providers import ProviderState
from tests.workers.building import MODEL, PROVIDERS, job, report, work
from workers.ends import is_able
from workers.moving import Mover

Reports = dict[str, Sequence[ProviderState]]


def mover(
    reports: Reports,
    *,
    max_moves: int = 3,
    since: float | None = None,
    offers: Mapping[str, Offer] | None = None,
) -> Mover:
    def latest() -> Mapping[str, Sequence[ProviderState]]:
        return reports

    return Mover(
        terms=RouteTerms(
            Catalog(
                {MODEL: "chat"}, {"chat": MODEL}, {MODEL: PROVIDERS}, offers={MODEL: offers or {}}
            ),
            RoutingRules(dict.fromkeys(LANES, 1.0), max_moves=max_moves),
        ),
        reports=latest,
        now=time.time() if since is None else since,
    )


def test_the_next_in_preference_that_was_not_tried() -> None:
    chosen = mover({}).choose(job(work(route=("google", "azure"))), "failed", time.time())
    assert isinstance(chosen, Decision)
    assert chosen.provider == "coreweave"
    assert chosen.sentence.startswith("azure failed, coreweave")


def test_work_is_not_moved_to_one_that_cannot_do_it() -> None:
    made = mover({}, offers={"google": Offer(frozenset({"stream"}))})
    streamed = job(work(fields={"stream": True}))
    chosen = made.choose(streamed, "failed", time.time())
    assert isinstance(chosen, Decision)
    assert chosen.provider == "coreweave"
    assert chosen.sentence.startswith("google lacks streams; azure failed, coreweave")
    plain = made.choose(job(), "failed", time.time())
    assert isinstance(plain, Decision)
    assert plain.provider == "google"


def test_with_nobody_able_left_it_is_said_who_lacks_what() -> None:
    offers = {"google": Offer(context_tokens=5), "coreweave": Offer(frozenset({"stream"}))}
    given = job(work(fields={"stream": True}))
    chosen = mover({}, offers=offers).choose(given, "failed", time.time())
    assert isinstance(chosen, NoDecision)
    assert chosen.reason is NoReason.ALL_TRIED
    assert "google holds 5 tokens, not 6" in chosen.sentence
    assert "coreweave lacks streams" in chosen.sentence


def test_a_burst_of_moves_counts_itself_before_the_reports_do() -> None:
    now = time.time()
    made = mover({"google": (report("google", at=now, in_flight=8),)})
    first = made.choose(job(work(weight=90)), "failed", now)
    assert isinstance(first, Decision)
    assert first.provider == "google"
    for _ in range(3):
        made.moved(job(work(weight=90)), "google", now)
    second = made.choose(job(work(weight=90)), "failed", now)
    assert isinstance(second, Decision)
    assert second.provider == "coreweave"


def test_moves_come_to_an_end() -> None:
    given, made = work(), mover({}, max_moves=1)
    assert isinstance(made.choose(job(given), "failed", time.time()), Decision)
    chosen = made.choose(job(work(route=("google", "azure"))), "failed", time.time())
    assert isinstance(chosen, NoDecision)
    assert chosen.reason is NoReason.MOVES_SPENT


def test_a_pinned_prompt_stays_where_it_was_pinned_to() -> None:
    chosen = mover({}).choose(job(work(fields={"provider": "azure"})), "failed", time.time())
    assert isinstance(chosen, NoDecision)
    assert chosen.reason is NoReason.PINNED_TRIED


def test_the_last_resort_is_a_choice_but_not_an_able_one() -> None:
    long_ago = time.time() - 100
    silent = {name: (report(name, at=long_ago),) for name in PROVIDERS}
    chosen = mover({**silent}, since=long_ago).choose(job(), "failed", time.time())
    assert isinstance(chosen, Decision)
    assert chosen.reason is Reason.SILENT
    assert not is_able(chosen)


def test_new_terms_hold_from_the_next_choice_on() -> None:
    made = mover({})
    first = made.choose(job(), "failed", time.time())
    assert isinstance(first, Decision)
    assert first.provider == "google"
    catalog = Catalog({MODEL: "chat"}, {"chat": MODEL}, {MODEL: PROVIDERS})
    rules = RoutingRules(dict.fromkeys(LANES, 1.0))
    only = Policy(allowed=Constraint(providers=frozenset({"coreweave"})))
    made.use(RouteTerms(catalog, rules, only))
    second = made.choose(job(), "failed", time.time())
    assert isinstance(second, Decision)
    assert second.provider == "coreweave"
