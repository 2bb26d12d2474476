"""The sections `[tenants.NAME]`, `[tenant_groups.NAME]` and `[tenant_defaults]`.

What a tenant does not say its group says, and what that does not say the defaults say. A tenant
without a section has the defaults. All of it may change while the processes run.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, PlainValidator, PositiveFloat

from broker.core.tenant_limits import DIMENSIONS, PERIODS, Bounds, TenantLimits, TenantTerms
from broker.settings.section import Section

MOST_WAIT_S: Final = 300.0
DEFAULT_WAIT_S: Final = 30.0
UNLIMITED: Final = "unlimited"


def _limit(given: Any) -> float | Literal["unlimited"] | None:
    if given is None:
        return None
    if given == UNLIMITED:
        return "unlimited"
    try:
        number = float("nan" if isinstance(given, bool) else given)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f'a limit is a number above 0, or "{UNLIMITED}"')
    return number


TenantName = Annotated[str, Field(min_length=1, max_length=256)]
Limit = Annotated[float | Literal["unlimited"] | None, PlainValidator(_limit)]
"""`unlimited` takes away what the group or the defaults say."""


class LimitSettings(Section):
    """What a tenant may use, in a minute, a UTC day and a UTC month; all of it optional."""

    share: PositiveFloat | None = None
    """Its weight against other tenants that wait for the same provider; 1 for who has none."""
    max_wait_s: Annotated[float, Field(ge=0.0, le=MOST_WAIT_S)] | None = None
    """So long a prompt over a limit of a minute waits at most; else it is refused."""
    requests_per_minute: Limit = None
    requests_per_day: Limit = None
    requests_per_month: Limit = None
    tokens_per_minute: Limit = None
    """Tokens of input and output together."""
    tokens_per_day: Limit = None
    tokens_per_month: Limit = None
    usd_per_minute: Limit = None
    usd_per_day: Limit = None
    usd_per_month: Limit = None


class TenantSettings(LimitSettings):
    """One tenant."""

    group: TenantName | None = None


def unknown_groups(
    tenants: Mapping[str, TenantSettings], groups: Mapping[str, LimitSettings]
) -> list[tuple[str, str]]:
    """Places that name a group that is not there, and what is wrong, for `disagreement`."""
    return [
        (f"tenants.{name}.group", f"names {one.group!r}, which is not in [tenant_groups]")
        for name, one in tenants.items()
        if one.group is not None and one.group not in groups
    ]


def terms_of(
    tenants: Mapping[str, TenantSettings],
    groups: Mapping[str, LimitSettings],
    defaults: LimitSettings,
) -> TenantTerms:
    """Every tenant's limits and share."""
    layers = {
        name: (one, *((groups[one.group],) if one.group is not None else ()), defaults)
        for name, one in tenants.items()
    }
    return TenantTerms(
        limits={name: _limits(own) for name, own in layers.items()},
        otherwise=_limits((defaults,)),
        shares={name: said(own, "share", 1.0) for name, own in layers.items()},
        share_otherwise=defaults.share or 1.0,
    )


def said(layers: Iterable[Section], name: str, otherwise: Any) -> Any:
    """What the first layer says that says anything of it."""
    for layer in layers:
        found = getattr(layer, name, None)
        if found is not None:
            return found
    return otherwise


def _limits(layers: tuple[Section, ...]) -> TenantLimits | None:
    limits = TenantLimits(
        **{period: _bounds(layers, period) for period in PERIODS},
        max_wait_s=said(layers, "max_wait_s", DEFAULT_WAIT_S),
    )
    return limits if limits.any else None


def _bounds(layers: tuple[Section, ...], period: str) -> Bounds:
    found = [said(layers, f"{dimension}_per_{period}", None) for dimension in DIMENSIONS]
    requests, tokens, usd = (None if one == UNLIMITED else one for one in found)
    return requests, tokens, usd
