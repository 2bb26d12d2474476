"""What a call costs. Prices are US dollars, for a million tokens or for one picture."""

from dataclasses import dataclass

from broker.records.usage import Usage


@dataclass(frozen=True, slots=True)
class Prices:
    """One model's prices at one provider; None where they are not known.

    Cached input without a price of its own costs as much as any input.
    """

    input: float | None = None
    output: float | None = None
    cached_input: float | None = None
    image: float | None = None

    def cost(self, usage: Usage) -> float | None:
        """What a call cost; None when a price is missing of something that it used."""
        fresh = (usage.input_tokens or 0) - usage.cached_input_tokens
        cached = self.input if self.cached_input is None else self.cached_input
        parts = (
            (max(0, fresh), self.input),
            (usage.cached_input_tokens, cached),
            (usage.output_tokens or 0, self.output),
        )
        total = 0.0
        for tokens, price in parts:
            if tokens and price is None:
                return None
            total += tokens * (price or 0.0) / 1e6
        if usage.images:
            # A picture is paid for by its tokens where the provider prices those.
            if self.image is None and not (self.output and usage.output_tokens):
                return None
            total += usage.images * (self.image or 0.0)
        return round(total, 9)


UNKNOWN = Prices()

FREE = Prices(0.0, 0.0, 0.0, 0.0)
"""Capacity that is paid for by the hour: one call more costs nothing more."""
