"""Whom a prompt may go to: providers and regions allowed, and what it may cost. Pure.

They come from the settings (for all, of a model, of a tenant) and from the prompt itself; all of
them hold at once, at the first choice and at every move. What is not known is no permission: a
provider without a region is in none, and one without a price is over every ceiling.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from broker.core.route_reasons import Bar, Loss


@dataclass(frozen=True, slots=True)
class Constraint:
    """None allows everything. `max_usd` is US dollars for the whole prompt, as expected."""

    providers: frozenset[str] | None = None
    regions: frozenset[str] | None = None
    max_usd: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it forbids nothing."""
        return self.providers is None and self.regions is None and self.max_usd is None

    def both(self, other: "Constraint") -> "Constraint":
        """What this one and the other allow."""
        if other.is_open:
            return self
        if self.is_open:
            return other
        return Constraint(
            _common(self.providers, other.providers),
            _common(self.regions, other.regions),
            min((c for c in (self.max_usd, other.max_usd) if c is not None), default=None),
        )

    def bars(
        self,
        providers: Iterable[str],
        regions: Mapping[str, str | None],
        usd: Mapping[str, float | None],
    ) -> dict[str, Bar]:
        """Those of the providers that it keeps away; `usd` is what the prompt would cost there."""
        found = {}
        for name in providers:
            bar = self._bar(name, regions.get(name), usd.get(name))
            if bar is not None:
                found[name] = bar
        return found

    def _bar(self, provider: str, region: str | None, usd: float | None) -> Bar | None:
        if self.providers is not None and provider not in self.providers:
            among = f"is not among {_listed(self.providers)}"
            return Bar(Loss.PROVIDER, among if self.providers else f"is not allowed: {_NONE}")
        if self.regions is not None and region not in self.regions:
            where = "has no region" if region is None else f"is in {region}"
            allowed = f"not in {_listed(self.regions)}" if self.regions else _NONE
            return Bar(Loss.REGION, f"{where}, {allowed}")
        if self.max_usd is not None:
            if usd is None:
                most = f"{_usd(self.max_usd)} USD is the most"
                return Bar(Loss.PRICE, f"has no known price, and {most}")
            if usd > self.max_usd:
                return Bar(Loss.PRICE, f"costs about {usd:.6f} USD, over {_usd(self.max_usd)}")
        return None


OPEN: Final = Constraint()
_NONE: Final = "and no other is allowed by all rules together"


def asked_by(fields: Mapping[str, Any]) -> Constraint:
    """What a valid prompt's own `providers`, `regions` and `max_cost_usd` allow."""
    providers, regions = fields.get("providers"), fields.get("regions")
    most = fields.get("max_cost_usd")
    if providers is None and regions is None and most is None:
        return OPEN
    return Constraint(
        None if providers is None else frozenset(providers),
        None if regions is None else frozenset(regions),
        None if most is None else float(most),
    )


def _common(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return one if other is None else other
    return one & other


def _listed(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))


def _usd(amount: float) -> str:
    """As people write it: never with an exponent."""
    return f"{amount:.9f}".rstrip("0").rstrip(".")
