"""What the doors of classifiers would say to a prompt that is not sent: from ledger lines alone."""

from collections.abc import Iterable
from typing import Any

import pytest

from broker.classifier.at_the_door import AtDoor, Doors, Read
from broker.classifier.door import Admitted
from broker.classifier.tenant_costs import ExpectedCosts
from broker.classifier.weighing import Weighed
from broker.core.tenant_limits import TenantLimits, TenantTerms
from broker.records.completion import Failure
from broker.records.incoming import Source
from broker.records.prompt import Prompt
from broker.records.tenants import Entry, Totals

NOW = 1_795_000_000.0
PARTITIONS = 12
WEIGHED = Weighed(20, "counted", 80, "prior", 340, "light")
PARTS = [frozenset(range(8)), frozenset(range(8, 12))]


def asked(tenant: str = "acme") -> Prompt:
    return Prompt(
        id="0-0",
        explicit_id=False,
        tenant=tenant,
        accepted_at=NOW,
        source=Source(0, 0),
        reply_partition=None,
        metadata={},
        kind="chat",
        model="chat-small",
        priority="standard",
        deadline=None,
        provider=None,
        stream=False,
        fields={"prompt": "Why?"},
        headers=(),
    )


def charges(count: int, at: float = NOW - 5, first: int = 0, **given: Any) -> list[Read | None]:
    """Prompts that were let in, as the ledger has them."""
    usual: dict[str, Any] = {"partition": 0, "tokens": 100.0, "usd": 0.0}
    return [
        (first + n, Entry("acme", "charge", at=at, requests=1.0, **{**usual, **given}))
        for n in range(count)
    ]


def said(
    limits: dict[str, Any],
    lines: Iterable[Read | None],
    parts: list[frozenset[int]] | None = None,
    tenant: str = "acme",
) -> tuple[AtDoor, ...]:
    terms = TenantTerms({"acme": TenantLimits(**limits)})
    doors = Doors(parts or [], PARTITIONS, terms, ExpectedCosts({}, lambda _: None))
    doors.read(lines)
    return doors.say(asked(tenant), WEIGHED, NOW)


def test_what_the_ledger_says_was_begun_counts_and_asking_counts_nothing() -> None:
    (door,) = said({"minute": (3, None, None)}, charges(2))
    assert (door.verdict, door.partitions) == ("let_in", PARTITIONS)
    assert isinstance(door.said, Admitted)
    assert door.said.charged is not None
    assert door.said.charged.tokens == 100
    (door,) = said({"minute": (3, None, None), "max_wait_s": 70}, charges(3))
    assert door.verdict == "waits"
    assert isinstance(door.said, Admitted)
    assert door.said.not_before == pytest.approx(NOW + 55.5, abs=0.5)


@pytest.mark.parametrize(
    ("limits", "code", "waits"),
    [
        ({"minute": (3, None, None)}, "rate_limited", 55.0),
        ({"day": (3, None, None)}, "budget_exhausted", 46_400.0),
        ({"month": (None, 350, None)}, "budget_exhausted", None),
        ({"minute": (None, 99, None)}, "rate_limited", None),
    ],
    ids=["a minute's", "a day's", "a month's", "larger than the limit"],
)
def test_a_refusal_says_the_code_the_figures_and_when_to_try_again(
    limits: dict[str, Any], code: str, waits: float | None
) -> None:
    (door,) = said(limits, charges(3))
    assert isinstance(door.said, Failure)
    assert (door.verdict, door.said.code) == ("refused", code)
    assert door.said.not_routed is not None
    assert door.said.not_routed.code == code
    told = door.as_json()["error"]
    assert ("retry_at" in told) == ("alone" not in door.said.message)
    if waits is not None and door.said.retry_at is not None:
        assert door.said.retry_at - NOW == pytest.approx(waits, abs=0.5)


def test_totals_stand_for_the_lines_that_they_cover() -> None:
    totals = Totals("acme", 2, NOW - 100, {"2026-11-18": {3: (2.0, 200.0, 0.0)}})
    days = {"day": (4, None, None)}
    lines = [totals, *charges(2), *charges(2, first=2), None]
    (door,) = said(days, lines)
    assert door.verdict == "refused"
    (door,) = said(days, [totals, *charges(2), *charges(1, first=2)])
    assert door.verdict == "let_in"


def test_each_classifier_has_its_part_and_a_tenant_without_limits_no_door() -> None:
    lines = charges(4, partition=9)
    limits = {"minute": (12, None, None)}
    large, small = said(limits, lines, PARTS)
    assert [(one.partitions, one.verdict) for one in (large, small)] == [
        (8, "let_in"),
        (4, "refused"),
    ]
    assert isinstance(small.said, Failure)
    assert small.said.not_routed is not None
    assert small.said.not_routed.reason.endswith("this classifier has 33% of the limit")
    (door,) = said(limits, lines, tenant="other")
    assert (door.verdict, door.as_json().get("charged")) == ("let_in", None)
