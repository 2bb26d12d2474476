"""How long a simulated cloud takes, and how long its answers are. Pure: chance comes in."""

import math
from dataclasses import dataclass

from broker.settings.simulated import CloudSettings
from workers.simulator.draws import normal


@dataclass(frozen=True, slots=True)
class Timing:
    """One answer's own speed. Times are seconds."""

    first_token_s: float
    per_token_s: float

    def until(self, tokens: int) -> float:
        """From the start until so many tokens are there."""
        return self.first_token_s + self.per_token_s * max(0, tokens - 1)

    def later(self, seconds: float) -> "Timing":
        """The same answer, but so much later."""
        return Timing(self.first_token_s + seconds, self.per_token_s)

    def tokens_at(self, seconds: float) -> float:
        """How many tokens are there after so long; may be above what the answer has."""
        if seconds < self.first_token_s:
            return 0
        if self.per_token_s <= 0:
            return math.inf
        return 1 + (seconds - self.first_token_s) / self.per_token_s


@dataclass(frozen=True, slots=True)
class LatencyModel:
    """Lognormal times around medians; `spread` is the deviation of their logarithm."""

    first_token_s: float
    per_input_token_s: float
    per_token_s: float
    spread: float
    per_picture_s: float = 0.0

    def timing(self, input_tokens: int, first: float, each: float) -> Timing:
        """The times of one answer; `first` and `each` are numbers of `draw`.

        Both are drawn once for an answer: a slow moment of a cloud is slow for all of it.
        """
        base = self.first_token_s + self.per_input_token_s * input_tokens
        return Timing(base * self._factor(first), self.per_token_s * self._factor(each))

    def picture_s(self, each: float) -> float:
        """The time that one picture takes."""
        return self.per_picture_s * self._factor(each)

    def _factor(self, number: float) -> float:
        return math.exp(self.spread * normal(number)) if self.spread else 1.0


def latency_model(cloud: CloudSettings, speed: float, *, fast: bool) -> LatencyModel:
    """The model of a cloud's settings, `speed` times as quick; `fast` takes no time at all."""
    if fast:
        return LatencyModel(0.0, 0.0, 0.0, 0.0)
    return LatencyModel(
        cloud.first_token_s / speed,
        cloud.per_input_token_s / speed,
        cloud.per_token_s / speed,
        cloud.spread,
        cloud.per_picture_s / speed,
    )


def answer_length(median: int, spread: float, longest: int, number: float) -> int:
    """Tokens of an answer whose length nobody asked for: lognormal, between 2 and `longest`."""
    return min(max(2, round(median * math.exp(spread * normal(number)))), longest)
