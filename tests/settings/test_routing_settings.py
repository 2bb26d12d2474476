"""`[routing]`: policies by model and tenant, and what in it can be meant by nobody."""

import pytest

from broker.core.constraints import Constraint
from broker.core.route_terms import RouteTerms
from broker.records.errors import UsageError
from broker.settings import load_settings
from broker.settings.route_terms import route_terms

PROVIDERS = {
    "azure": {"models": {"chat-small": "m", "chat-large": "l"}, "region": "eu"},
    "google": {"models": {"chat-small": "m"}, "region": "us", "billing": "hourly"},
}


def terms(**routing: object) -> RouteTerms:
    return route_terms(load_settings(providers=PROVIDERS, routing=routing))


def test_a_tenants_policy_goes_before_a_models_and_all_constraints_hold() -> None:
    found = terms(
        max_cost_usd=1.0,
        models={"chat-small": {"policy": "cheapest", "regions": ["eu", "us"]}},
        tenants={
            "bank": {"policy": "fastest", "regions": ["eu"]},
            "shop": {"max_cost_usd": 0.01},
        },
    )
    assert found.policy_for("anyone", "chat-large").name == "overflow"
    assert found.policy_for("anyone", "chat-small").name == "cheapest"
    bank = found.policy_for("bank", "chat-small")
    assert (bank.name, bank.allowed) == ("fastest", Constraint(None, frozenset({"eu"}), 1.0))
    shop = found.policy_for("shop", "chat-small")
    assert (shop.name, shop.allowed.max_usd) == ("cheapest", 0.01)
    assert found.policy_for("shop", "chat-large").name == "overflow"


def test_regions_and_prices_come_with_the_terms() -> None:
    found = terms()
    assert found.regions == {"azure": "eu", "google": "us"}
    assert found.prices["chat-small"]["google"].expected(1_000, 1_000) == 0.0
    assert set(found.prices["chat-large"]) == {"azure"}


@pytest.mark.parametrize(
    ("routing", "said"),
    [
        ({"providers": ["azur"]}, "names the provider 'azur'"),
        ({"tenants": {"bank": {"regions": ["asia"]}}}, "no provider's region"),
        ({"models": {"chat-tiny": {"policy": "fastest"}}}, "not in [models]"),
        ({"policy": "weighted"}, "needs weights"),
        ({"tenants": {"bank": {"policy": "pinned"}}}, "needs pinned_to"),
        ({"policy": "pinned", "pinned_to": "aws"}, "names the provider 'aws'"),
        ({"policy": "quickest"}, "overflow"),
    ],
)
def test_what_can_be_meant_by_nobody_is_refused(routing: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as refused:
        load_settings(providers=PROVIDERS, routing=routing)
    assert said in str(refused.value)
