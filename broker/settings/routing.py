"""The section `[routing]`: by which policy a provider is chosen, for all, for a model, a tenant."""

from collections.abc import Collection, Mapping
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, model_validator

from broker.core.constraints import Constraint
from broker.core.policies import Policy, PolicyName
from broker.settings.section import Name, Section

Region = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,40}$")]


class RouteChoice(Section):
    """A policy and what it may choose among. What is not set allows everything."""

    policy: PolicyName | None = None
    """None: that of the model, or of all."""
    providers: tuple[Name, ...] | None = None
    regions: tuple[Region, ...] | None = None
    """Only providers in these; one whose settings name no `region` is in none."""
    max_cost_usd: NonNegativeFloat | None = None
    """The most that one prompt may cost, as expected; an unknown price is over it."""
    weights: dict[Name, NonNegativeFloat] = Field(default_factory=dict)
    """For `weighted`."""
    pinned_to: Name | None = None
    """For `pinned`."""

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> "RouteChoice":
        if self.policy == "weighted" and not any(self.weights.values()):
            raise ValueError("the policy weighted needs weights, one of them over 0")
        if self.policy == "pinned" and self.pinned_to is None:
            raise ValueError("the policy pinned needs pinned_to")
        return self

    def constraint(self) -> Constraint:
        """Whom it allows."""
        return Constraint(
            None if self.providers is None else frozenset(self.providers),
            None if self.regions is None else frozenset(self.regions),
            self.max_cost_usd,
        )

    def named(self) -> tuple[str, ...]:
        """Every provider that it names."""
        pinned = () if self.pinned_to is None else (self.pinned_to,)
        return (*(self.providers or ()), *self.weights, *pinned)


class RoutingSettings(RouteChoice):
    """The default for all prompts, and seconds of expected wait that a provider may have, by lane.

    `models` and `tenants` say what is different for some. A tenant's policy goes before a model's;
    all constraints hold.
    """

    policy: PolicyName = "overflow"
    light_wait_s: PositiveFloat = 4.0
    medium_wait_s: PositiveFloat = 2.0
    heavy_wait_s: PositiveFloat = 1.0
    batch_wait_s: PositiveFloat = 60.0
    max_moves: Annotated[int, Field(ge=0)] = 3
    models: dict[str, RouteChoice] = Field(default_factory=dict)
    tenants: dict[str, RouteChoice] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _heavy_first(self) -> "RoutingSettings":
        if self.heavy_wait_s > min(self.light_wait_s, self.medium_wait_s):
            raise ValueError(
                "heavy prompts must overflow first, so heavy_wait_s must be the lowest limit"
            )
        return self

    def choices(self) -> dict[str, RouteChoice]:
        """Everything that names providers, by its place in the settings."""
        return {
            "routing": self,
            **{f"routing.models.{name}": one for name, one in self.models.items()},
            **{f"routing.tenants.{name}": one for name, one in self.tenants.items()},
        }


def unknown_names(
    routing: RoutingSettings, regions: Mapping[str, str | None], models: Collection[str]
) -> list[tuple[str, str]]:
    """What `[routing]` names and nothing else does: places, and what follows them in a sentence.

    `regions` are those of all providers, by name.
    """
    found = [
        (f"routing.models.{name}", "is for a model that is not in [models]")
        for name in sorted(set(routing.models) - set(models))
    ]
    for place, one in routing.choices().items():
        found += [
            (place, f"names the provider {name!r}, which is not in [providers]")
            for name in sorted(set(one.named()) - set(regions))
        ]
        found += [
            (f"{place}.regions", f"names {region!r}, which is no provider's region")
            for region in sorted(set(one.regions or ()) - set(regions.values()))
        ]
    return found


def policy_of(*choices: RouteChoice | None) -> Policy:
    """The policy of the first that has one, with the constraints of all."""
    given = [one for one in choices if one is not None]
    first = next(one for one in given if one.policy is not None)
    allowed = Constraint()
    for one in given:
        allowed = allowed.both(one.constraint())
    return Policy(first.policy or "overflow", allowed, dict(first.weights), first.pinned_to)
