"""What a call costs. Prices are US dollars, for a million tokens or for one picture."""

from dataclasses import dataclass
from typing import Final

from broker.records.usage import Usage

_ROUNDED_TO: Final = 9
"""Digits after the point: a thousandth of the price of the cheapest token there is."""


@dataclass(frozen=True, slots=True)
class Prices:
    """One model's prices at one provider; None where they are not known.

    Cached input without a price of its own costs as much as any input. `long` are the prices of a
    whole call whose input is longer than `long_above` tokens, where a provider has such a step.
    """

    input: float | None = None
    output: float | None = None
    cached_input: float | None = None
    image: float | None = None
    long_above: int | None = None
    long: "Prices | None" = None

    def cost(self, usage: Usage) -> float | None:
        """What a call cost; None when a price is missing of something that it used."""
        if self.long is not None and (usage.input_tokens or 0) > (self.long_above or 0):
            return self.long.cost(usage)
        fresh = (usage.input_tokens or 0) - usage.cached_input_tokens
        cached = self.input if self.cached_input is None else self.cached_input
        total = 0.0
        for tokens, price in (
            (fresh, self.input),
            (usage.cached_input_tokens, cached),
            (usage.output_tokens, self.output),
        ):
            if tokens and tokens > 0:
                if price is None:
                    return None
                total += tokens * price / 1e6
        if usage.images:
            # A picture is paid for by its tokens where the provider prices those.
            if self.image is None and not (self.output and usage.output_tokens):
                return None
            total += usage.images * (self.image or 0.0)
        return round(total, _ROUNDED_TO)

    def expected(self, input_tokens: int, output_tokens: int, pictures: int = 0) -> float | None:
        """What a call should cost, with nothing cached; None when a price is missing for it."""
        if self.long is not None and input_tokens > (self.long_above or 0):
            return self.long.expected(input_tokens, output_tokens, pictures)
        if (input_tokens and self.input is None) or (
            output_tokens and self.output is None and not (pictures and self.image is not None)
        ):
            return None
        total = input_tokens * (self.input or 0.0) + output_tokens * (self.output or 0.0)
        return total / 1e6 + pictures * (self.image or 0.0)


UNKNOWN: Final = Prices()

FREE: Final = Prices(0.0, 0.0, 0.0, 0.0)
"""Capacity that is paid for by the hour: one call more costs nothing more."""


@dataclass(frozen=True, slots=True)
class Cost:
    """US dollars of one or several calls; None where nothing of it is known.

    `estimated`: a part of it was estimated, or could not be known and is left out.
    """

    usd: float | None = 0.0
    estimated: bool = False

    def plus(self, other: "Cost") -> "Cost":
        """Both together: a sum of what is known."""
        if self is NOTHING and other.usd is not None:
            return other
        if self.usd is None or other.usd is None:
            known = (self.usd or 0.0) + (other.usd or 0.0)
            return Cost(round(known, _ROUNDED_TO), estimated=True) if known else NOT_KNOWN
        total = round(self.usd + other.usd, _ROUNDED_TO)
        return Cost(total, self.estimated or other.estimated)


NOTHING: Final = Cost()
NOT_KNOWN: Final = Cost(None)
