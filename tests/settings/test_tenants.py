from typing import Any

import pytest

from broker.core.tenant_limits import TenantLimits
from broker.records.errors import UsageError
from broker.settings import load_settings

GIVEN: dict[str, Any] = {
    "tenants": {
        "acme": {"group": "gold", "usd_per_day": 5, "share": 4},
        "free": {"requests_per_minute": "unlimited"},
        "Ünder & Söhne": {"group": "gold"},
    },
    "tenant_groups": {"gold": {"tokens_per_month": 1_000_000, "share": 2, "max_wait_s": 5}},
    "tenant_defaults": {"requests_per_minute": 60},
}


def test_a_tenant_goes_before_its_group_and_that_before_the_defaults() -> None:
    terms = load_settings(**GIVEN).tenant_terms()
    assert terms.limits_of("acme") == TenantLimits(
        minute=(60, None, None), day=(None, None, 5), month=(None, 1_000_000, None), max_wait_s=5
    )
    assert terms.limits_of("Ünder & Söhne") == TenantLimits(
        minute=(60, None, None), month=(None, 1_000_000, None), max_wait_s=5
    )
    assert [terms.share_of(name) for name in ("acme", "Ünder & Söhne", "free", "x")] == [4, 2, 1, 1]


def test_who_has_no_section_has_the_defaults_and_unlimited_takes_a_limit_away() -> None:
    terms = load_settings(**GIVEN).tenant_terms()
    assert terms.limits_of("nobody") == TenantLimits(minute=(60, None, None))
    assert terms.limits_of("free") is None


def test_without_sections_nobody_has_a_limit() -> None:
    terms = load_settings().tenant_terms()
    assert terms.limits_of("anyone") is None
    assert not terms.any_limits


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"tenants": {"acme": {"group": "silver"}}}, "tenants.acme.group: names 'silver'"),
        ({"tenants": {"acme": {"requests_per_day": 0}}}, "tenants.acme.requests_per_day"),
        ({"tenants": {"acme": {"max_wait_s": 3_600}}}, "tenants.acme.max_wait_s"),
        ({"tenant_groups": {"gold": {"usd_per_week": 1}}}, "tenant_groups.gold.usd_per_week"),
        ({"tenant_defaults": {"group": "gold"}}, "tenant_defaults.group"),
    ],
)
def test_a_mistake_is_named_with_its_place(given: dict[str, Any], place: str) -> None:
    with pytest.raises(UsageError, match="The settings are wrong") as caught:
        load_settings(**given)
    assert place in str(caught.value)
