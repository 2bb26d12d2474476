"""How long a call should take: by model, from the tokens of its answer. Pure.

The time of a call grows with its answer, so calls cannot be compared by their time alone. For each
model a line is kept, a time to the first token and a time for each further one, fitted to the calls
of late with weights that forget.
"""

from dataclasses import dataclass
from typing import Final

_KEPT: Final = 0.99
"""What each further call leaves of those before it: about 50 count."""
_PRIOR_TOKENS: Final = 20.0
"""Until answers of different lengths were seen, the first token is taken to cost as much as so many
others."""


@dataclass(slots=True)
class _Line:
    """Sums of a weighted regression of seconds on tokens."""

    count: float = 0.0
    tokens: float = 0.0
    squares: float = 0.0
    seconds: float = 0.0
    products: float = 0.0

    def add(self, tokens: float, seconds: float) -> None:
        # Times are uncertain in proportion: one long answer would count more than all short ones.
        weight = 1 / (_PRIOR_TOKENS + tokens) ** 2
        self.count = self.count * _KEPT + weight
        self.tokens = self.tokens * _KEPT + weight * tokens
        self.squares = self.squares * _KEPT + weight * tokens * tokens
        self.seconds = self.seconds * _KEPT + weight * seconds
        self.products = self.products * _KEPT + weight * tokens * seconds

    def at(self, tokens: float) -> float:
        mean_tokens, mean_seconds = self.tokens / self.count, self.seconds / self.count
        variance = self.squares / self.count - mean_tokens * mean_tokens
        each = mean_seconds / (_PRIOR_TOKENS + mean_tokens)
        if variance > 0.05 * mean_tokens * mean_tokens + 1:
            each = (self.products / self.count - mean_tokens * mean_seconds) / variance
            # Neither a token nor the first one takes less than no time.
            each = min(max(each, 0.0), mean_seconds / max(mean_tokens, 1.0))
        return max(mean_seconds + each * (tokens - mean_tokens), 0.05 * mean_seconds)


class CallTimes:
    """Expected times of calls, by model. Not thread-safe."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def expected(self, model: str, tokens: float) -> float | None:
        """Seconds for an answer of so many tokens; None for a model that is not known yet."""
        line = self._lines.get(model)
        return None if line is None else line.at(tokens)

    def measured(self, model: str, tokens: float, seconds: float) -> None:
        """A call took so long, less what it waited."""
        self._lines.setdefault(model, _Line()).add(tokens, seconds)
