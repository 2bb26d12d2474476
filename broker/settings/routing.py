"""The section `[routing]`: by which policy a provider is chosen."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from broker.settings.section import Section


class RoutingSettings(Section):
    """`overflow`: seconds of expected wait that the preferred provider may have, by lane."""

    policy: Literal["overflow"] = "overflow"
    light_wait_s: PositiveFloat = 4.0
    medium_wait_s: PositiveFloat = 2.0
    heavy_wait_s: PositiveFloat = 1.0
    batch_wait_s: PositiveFloat = 60.0
    max_moves: Annotated[int, Field(ge=0)] = 3

    @model_validator(mode="after")
    def _heavy_first(self) -> "RoutingSettings":
        if self.heavy_wait_s > min(self.light_wait_s, self.medium_wait_s):
            raise ValueError(
                "heavy prompts must overflow first, so heavy_wait_s must be the lowest limit"
            )
        return self
