"""The section `[lengths]`: how the length of answers is learned."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from broker.settings.section import Section


class LengthSettings(Section):
    """What is expected of an answer's length, learned from the journal of calls."""

    learn: bool = True
    """Off: the request's own maximum, else a fixed table by the input's length."""
    quantile: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.8
    """The share of answers that is to be no longer than expected."""
    half_life_s: PositiveFloat = 6 * 3_600.0
    """After so long an answer counts half."""
    most_tenants: PositiveInt = 100_000
    """Tenants (by model) whose answers are counted apart, at most 3 kB each; those that were asked
    for longest ago have their model's."""
    read_back: PositiveInt = 400_000
    """Records of the journal that a starting classifier reads at most, of four half-lives."""
