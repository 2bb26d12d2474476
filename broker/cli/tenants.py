"""`weighbridge tenants`: what each has used of its limits, from the log alone."""

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from broker.cli.options import AsJson, Config, Kafka, load
from broker.cli.output import console, harmless, reading_progress, say, table, write_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.story.tenant_usage import Use

MOST: Final = 40
"""Limits that are shown at once, unless all are asked for."""


def tenants(
    tenant: Annotated[
        str | None, typer.Argument(help="Only this one, with what has no limit too.")
    ] = None,
    everyone: Annotated[
        bool, typer.Option("--all", help=f"All, not only the {MOST} limits that are fullest.")
    ] = False,
    config: Config = None,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """Say what tenants have used of their limits, and what is left.

    It reads the tenants' ledger read-committed, needs no running classifier, and changes nothing.
    Days and months are those of UTC; a minute is the last one. What a prompt was charged when it
    was let in counts until its end, and then what it really used.
    """
    from broker.story.tenant_usage import read_usage

    settings = load(config, kafka)
    with reading_progress() as progress:
        usage = read_usage(settings, progress)
    uses = list(usage.uses(tenant))
    if as_json:
        write_json(_nested(uses))
        return
    if tenant is not None and not any(use.used for use in uses):
        say(f"tenants: the ledger has nothing of {harmless(tenant)} this month")
    limited = [use for use in uses if use.limit is not None or (tenant is not None and use.used)]
    if not limited:
        of = "anyone" if tenant is None else harmless(tenant)
        say(f"tenants: no limit is set for {of} (tenants.NAME in the settings)")
        return
    shown = limited if everyone or tenant is not None else fullest(limited, MOST)
    _print(shown)
    if len(shown) < len(limited):
        say(
            f"tenants: the {len(shown)} fullest of {len(limited):,} limits; --all shows all of them"
        )
    if usage.unreadable:
        say(f"tenants: {usage.unreadable} records of the ledger are not in our form")


def fullest(uses: "Sequence[Use]", most: int) -> "Sequence[Use]":
    """Those of which the largest share is used, the fullest first; as they are when not more."""
    if len(uses) <= most:
        return uses

    def share(use: "Use") -> float:
        return use.used / use.limit if use.limit else 0.0

    return sorted(uses, key=share, reverse=True)[:most]


def _print(uses: "Sequence[Use]") -> None:
    numbers = ("used", "limit", "left")
    made = table("tenant", "limit of", *numbers, right=numbers)
    for use in uses:
        left = use.left
        row = (use.used, use.limit, left)
        told = [_told(amount, use.dimension) for amount in row]
        if left is not None and left <= 0:
            told[2] = f"[bold red]{told[2]}[/]"
        made.add_row(harmless(use.tenant), f"{use.dimension} a {use.period}", *told)
    console().print(made)


def _told(amount: float | None, dimension: str) -> str:
    if amount is None:
        return "-"
    return f"{amount:,.4f}" if dimension == "usd" else f"{amount:,.0f}"


def _nested(uses: "list[Use]") -> dict[str, Any]:
    made: dict[str, Any] = {}
    for use in uses:
        periods = made.setdefault(use.tenant, {})
        periods.setdefault(use.period, {})[use.dimension] = use.as_json()
    return made
