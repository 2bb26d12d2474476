"""The terms by which prompts are routed: who serves, by which policy, where, and at what price.

Classifiers, workers and simulations hold the same terms, so that a constraint that held at the
first choice holds at every move. They are replaced whole when the settings are read again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol
from zlib import crc32

from broker.core.candidates import Candidate
from broker.core.capabilities import lacking
from broker.core.constraints import asked_by
from broker.core.lanes import Lane
from broker.core.needs import needs_of
from broker.core.policies import Policy
from broker.core.prices import Prices
from broker.core.route_reasons import Bar, Reason
from broker.core.routing import OVERFLOW, Decision, NoDecision, Request, RoutingRules, choose
from broker.records.prompt import Catalog

_LUCKS = 2**32


class Figures(Protocol):
    """Where a choice learns of the providers."""

    def candidates(
        self, providers: Sequence[str], now: float, lane: Lane | None = None
    ) -> Sequence[Candidate]:
        """Figures of these providers for a prompt of this lane, in order of preference."""


class Asked(Protocol):
    """What of a prompt routing needs; a `Prompt` and a `Work` have it."""

    @property
    def id(self) -> str:
        """Its id."""

    @property
    def tenant(self) -> str:
        """Whose it is."""

    @property
    def kind(self) -> str:
        """Chat, image or embedding."""

    @property
    def model(self) -> str:
        """The alias."""

    @property
    def provider(self) -> str | None:
        """The provider that the prompt itself names."""

    @property
    def deadline(self) -> float | None:
        """Unix seconds."""

    @property
    def fields(self) -> Mapping[str, Any]:
        """As it was sent."""


class Load(NamedTuple):
    """What a prompt weighs: its lane, its weight and its parts, in token units and tokens."""

    lane: Lane
    weight: int
    input_tokens: int
    output_tokens: int
    sure_tokens: int | None = None
    """Of the input, what it surely has; None: all of it."""


@dataclass(frozen=True, slots=True)
class Moving:
    """For a move: where it has been, and why it leaves. See `Request`."""

    tried: tuple[str, ...]
    because: str
    cause: Reason = Reason.FAILED
    spent_usd: float = 0.0
    """What its calls so far have cost, as far as is known: a ceiling holds for all together."""


@dataclass(frozen=True, slots=True)
class RouteTerms:
    """`prices` are by alias and provider, `regions` by provider; what is missing is not known."""

    catalog: Catalog
    rules: RoutingRules
    policy: Policy = OVERFLOW
    by_model: Mapping[str, Policy] = field(default_factory=dict)
    by_tenant: Mapping[str, Policy] = field(default_factory=dict)
    by_both: Mapping[tuple[str, str], Policy] = field(default_factory=dict)
    """Of tenants that have a policy, for the models that have one too."""
    regions: Mapping[str, str | None] = field(default_factory=dict)
    prices: Mapping[str, Mapping[str, Prices]] = field(default_factory=dict)

    def policy_for(self, tenant: str, model: str) -> Policy:
        """A tenant's policy goes before a model's; the constraints of both hold."""
        by_tenant = self.by_tenant.get(tenant)
        if by_tenant is None:
            return self.by_model.get(model, self.policy)
        return self.by_both.get((tenant, model), by_tenant)

    def choose(
        self, asked: Asked, load: Load, view: Figures, now: float, moving: Moving | None = None
    ) -> Decision | NoDecision:
        """Choose for one prompt at `now` (unix seconds)."""
        serving = self.catalog.providers.get(asked.model, ())
        policy = self.policy_for(asked.tenant, asked.model)
        request = self.request(asked, load, policy, now, moving)
        shown = view.candidates(serving, now, load.lane) if serving else ()
        return choose(request, shown, self.rules, policy)

    def request(
        self, asked: Asked, load: Load, policy: Policy, now: float, moving: Moving | None = None
    ) -> Request:
        """What the core is asked for this prompt."""
        usd = self._usd(asked, load)
        deadline = asked.deadline
        barred = self._barred(asked, load, policy, usd, moving)
        luck = crc32(asked.id.encode()) / _LUCKS
        left_s = None if deadline is None else deadline - now
        if moving is None:
            return Request(
                load.lane,
                load.weight,
                asked.provider,
                barred=barred,
                model=asked.model,
                output_tokens=load.output_tokens,
                left_s=left_s,
                usd=usd,
                luck=luck,
            )
        return Request(
            load.lane,
            load.weight,
            asked.provider,
            moving.tried,
            len(moving.tried) - 1,
            moving.because,
            moving.cause,
            barred,
            asked.model,
            load.output_tokens,
            left_s,
            usd,
            luck,
        )

    def _usd(self, asked: Asked, load: Load) -> dict[str, float | None]:
        known = self.prices.get(asked.model)
        if not known:
            return {}
        pictures = 0
        if asked.kind == "image":
            count = asked.fields.get("n")
            pictures = count if isinstance(count, int) and count > 0 else 1
        return {
            provider: prices.expected(load.input_tokens, load.output_tokens, pictures)
            for provider, prices in known.items()
        }

    def _barred(
        self,
        asked: Asked,
        load: Load,
        policy: Policy,
        usd: Mapping[str, float | None],
        moving: Moving | None,
    ) -> Mapping[str, Bar]:
        """Who cannot be asked it or may not be; cheap where everyone can and may."""
        barred: dict[str, Bar] = {}
        allowed = policy.allowed.both(asked_by(asked.fields))
        if not allowed.is_open:
            if allowed.max_usd is not None and moving is not None:
                allowed = replace(allowed, max_usd=max(0.0, allowed.max_usd - moving.spent_usd))
            serving = self.catalog.providers.get(asked.model, ())
            barred = allowed.bars(serving, self.regions, usd)
        offers = self.catalog.offers.get(asked.model)
        if offers:
            sure = load.input_tokens if load.sure_tokens is None else load.sure_tokens
            barred |= lacking(offers, offers, needs_of(asked.fields, asked.kind), sure)
        return barred
