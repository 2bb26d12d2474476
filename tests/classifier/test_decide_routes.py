"""Decisions by policy and constraint, from a prompt to the records that are written of it."""

from typing import Any

from broker.classifier.counting import Counting
from broker.classifier.decide import Decider, Outcome
from broker.classifier.router import Router
from broker.classifier.weighing import Weigher
from broker.classifier.windows import Windows
from broker.core.dedupe import DedupeWindow
from broker.core.provider_view import ProviderView
from broker.records.completion import decode_completion
from broker.records.providers import ProviderState
from broker.records.work import Work, decode_work
from broker.settings import load_settings
from broker.settings.route_terms import route_terms
from broker.telemetry.metrics import ClassifierMetrics
from tests.classifier.test_decide import COUNT, NAMES, NOW, at_home, rules

CLOUDS = {
    "azure": {"models": {"chat-small": "gpt-5-mini"}, "region": "eu"},
    "google": {"models": {"chat-small": "gemini-3-flash"}, "region": "us"},
    "coreweave": {"models": {"chat-small": "gpt-oss-20b"}, "region": "eu", "billing": "hourly"},
}


def state(provider: str, **given: Any) -> ProviderState:
    usual: dict[str, Any] = {
        "in_flight": 8,
        "slots": 8,
        "waiting": 0,
        "waiting_weight": 0,
        "speed": 1_000.0,
        "waiting_by_lane": {},
        "in_flight_by_lane": {},
        "calls_take": {"": (0.5, 0.01)},
    }
    return ProviderState(provider, "0", NOW, "closed", **{**usual, **given})


class Site:
    """One decider and what it has heard of three clouds."""

    def __init__(self, **routing: Any) -> None:
        self.rules = rules(providers=CLOUDS, routing=routing)
        self.view = ProviderView(NOW)
        self.view.update({name: (state(name),) for name in CLOUDS})
        self.router = Router(self.rules, self.view)
        self.decider = Decider(self.rules, Weigher(self.rules, COUNT), self.router)
        self._asked = 0

    def says(self, provider: str, **given: Any) -> None:
        self.view.update({provider: (state(provider, **given),)})

    def decide(self, **fields: Any) -> Outcome:
        self._asked += 1
        record = at_home(f"p{self._asked}", {"prompt": "Why is the sky blue?", **fields})
        return self.decider.decide(record, DedupeWindow(3600.0, 1000), NOW)

    def work(self, **fields: Any) -> Work:
        outcome = self.decide(**fields)
        assert outcome.verdict == "routed", outcome
        return decode_work(outcome.outputs[0].value, outcome.outputs[0].headers)


def test_the_work_record_tells_time_price_and_loss_of_every_candidate() -> None:
    step = Site().work(max_output_tokens=100).route[-1]
    assert (step.provider, step.code) == ("azure", "preferred")
    azure, google, coreweave = step.candidates
    assert azure["time_s"] == 1.5
    assert azure["usd"] > 0
    assert "lost" not in azure
    assert google["lost"] == "less_preferred"
    assert coreweave["usd"] == 0.0


def test_a_tenants_policy_and_its_residency_hold_for_that_tenant_alone() -> None:
    site = Site(tenants={"bank": {"policy": "fastest", "regions": ["eu"]}})
    site.says("google", calls_take={"": (0.01, 0.0)})
    bank = site.work(tenant="bank").route[-1]
    assert (bank.provider, bank.code) == ("azure", "fastest")
    lost = {note["provider"]: note.get("lost") for note in bank.candidates}
    assert lost["google"] == "region_not_allowed"
    site.says("azure", waiting_weight=90_000, waiting_weight_by_lane={"light": 90_000})
    assert site.work(tenant="bank").route[-1].provider == "coreweave"
    assert site.work(tenant="shop").route[-1].provider == "google"


def test_cheapest_takes_what_is_paid_for_anyway_until_it_is_full() -> None:
    site = Site(policy="cheapest")
    assert site.work().route[-1].code == "cheapest"
    assert site.work().route[-1].provider == "coreweave"
    site.says("coreweave", waiting_weight=90_000, waiting_weight_by_lane={"light": 90_000})
    step = site.work().route[-1]
    assert step.provider != "coreweave"
    assert {note["provider"]: note.get("lost") for note in step.candidates}["coreweave"] == (
        "over_limit"
    )


def test_what_a_prompt_itself_allows_is_kept_and_nobody_is_said_with_each_reason() -> None:
    site = Site()
    assert site.work(regions=["us"]).route[-1].provider == "google"
    assert site.work(providers=["coreweave", "google"]).route[-1].provider == "google"
    assert site.work(max_cost_usd=0).route[-1].provider == "coreweave"
    failed = site.decide(regions=["us"], max_cost_usd=0)
    assert (failed.verdict, failed.code) == ("failed", "over_price")
    assert failed.outputs[1].topic == NAMES.dead_letters
    completion = decode_completion(failed.outputs[0].value)
    assert completion.error is not None
    for told in ("azure is in eu, not in us", "coreweave is in eu", "google costs about"):
        assert told in completion.error.message
    why = completion.error.not_routed
    assert why is not None
    assert (why.code, why.expected_by) == ("over_price", "prior")
    lost = {one["provider"]: one["lost"] for one in why.candidates}
    assert lost == {
        "azure": "region_not_allowed",
        "google": "over_price",
        "coreweave": "region_not_allowed",
    }
    assert failed.candidates == why.candidates
    assert site.decide(regions=["mars"]).code == "not_allowed"
    assert site.decide(providers=["azure"], provider="google").code == "not_allowed"


def test_metrics_count_why_each_provider_lost_also_where_nobody_won() -> None:
    site, metrics = Site(), ClassifierMetrics()
    counting = Counting(metrics, Windows(3600.0, 1000))
    for outcome in (site.decide(), site.decide(regions=["us"], max_cost_usd=0)):
        counting.decided(outcome)
    counting.slice_took(0.001)
    for provider, reason in (
        *(("google", "less_preferred"), ("google", "over_price")),
        *(("azure", "region_not_allowed"), ("coreweave", "less_preferred")),
    ):
        labels = {"provider": provider, "reason": reason}
        name = "weighbridge_candidates_lost_total"
        assert metrics.registry.get_sample_value(name, labels) == 1.0, labels


def test_new_settings_hold_from_the_next_prompt_on() -> None:
    site = Site()
    assert site.work().route[-1].provider == "azure"
    new = load_settings(providers=CLOUDS, routing={"policy": "pinned", "pinned_to": "google"})
    site.router.use(route_terms(new))
    step = site.work().route[-1]
    assert (step.provider, step.code) == ("google", "pinned")


def test_heavy_prompts_overflow_while_light_ones_stay() -> None:
    site = Site(heavy_wait_s=1.0, light_wait_s=4.0, medium_wait_s=2.0)
    site.says("azure", waiting_weight=4_000, waiting_weight_by_lane={"light": 500, "heavy": 3_500})
    assert site.work(max_output_tokens=20).route[-1].provider == "azure"
    heavy = site.work(max_output_tokens=4_000)
    assert heavy.lane == "heavy"
    assert (heavy.route[-1].provider, heavy.route[-1].code) == ("google", "overflow")
