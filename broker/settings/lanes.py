"""The section `[lanes]`: which weights are light and heavy."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from broker.settings.section import Section


class LaneSettings(Section):
    """Weights (token units) up to which a prompt is light, and from which it is heavy.

    With `mode = "auto"` (`lanes = "auto"` is short for it) they are where the thresholds begin, and
    then follow the traffic, so that light prompts hold `light_share` of all work and heavy ones
    `heavy_share`, where a prompt counts half after `fit_half_life_s`.
    """

    mode: Literal["fixed", "auto"] = "fixed"
    light_max: PositiveInt = 2_000
    heavy_min: PositiveInt = 8_000
    output_factor: PositiveFloat = 4.0
    light_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    heavy_share: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    fit_half_life_s: PositiveFloat = 1_800.0
    reserved_light: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.25
    """The share of a worker's slots that only light prompts may use; the others need some too."""

    shuffle_sharding: bool = True
    """Keep a noisy tenant out of some of a crowded lane's partitions, for the others."""

    @model_validator(mode="before")
    @classmethod
    def _from_mode(cls, given: Any) -> Any:
        return {"mode": given} if isinstance(given, str) else given

    @model_validator(mode="after")
    def _in_order(self) -> "LaneSettings":
        if self.heavy_min <= self.light_max:
            raise ValueError("lanes.heavy_min must be above lanes.light_max")
        if self.light_share + self.heavy_share >= 1.0:
            raise ValueError("lanes.light_share and heavy_share must leave something to medium")
        return self
