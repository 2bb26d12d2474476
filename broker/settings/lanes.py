"""The section `[lanes]`: which weights are light and heavy."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from broker.settings.section import Section


class LaneSettings(Section):
    """Weights (token units) up to which a prompt is light, and from which it is heavy."""

    light_max: PositiveInt = 2_000
    heavy_min: PositiveInt = 8_000
    output_factor: PositiveFloat = 4.0
    reserved_light: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.25
    """The share of a worker's slots that only light prompts may use; the others need some too."""

    shuffle_sharding: bool = True
    """Keep a noisy tenant out of some of a crowded lane's partitions, for the others."""

    @model_validator(mode="after")
    def _in_order(self) -> "LaneSettings":
        if self.heavy_min <= self.light_max:
            raise ValueError("lanes.heavy_min must be above lanes.light_max")
        return self
