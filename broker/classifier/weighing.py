"""How heavy a prompt is and which lane that makes. Pure: no I/O, no clock.

Three seams, each a part of its own: tokens are counted by whoever has the vocabulary, the expected
output comes from `Lengths`, the thresholds from `Thresholds`, which may change while it runs.
"""

from dataclasses import dataclass
from typing import Protocol

from broker.classifier.rules import Rules
from broker.classifier.tokens import CountTokens
from broker.core.lanes import Lane, LanePlan, lane_for
from broker.core.weighing import content_of, expected_output, weigh
from broker.records.prompt import Prompt


@dataclass(frozen=True, slots=True)
class Weighed:
    """A prompt's weight (token units), what it was made of, and the lane it leads to.

    `how` is how the input was counted (`counted` or `estimated`), `words` how the output was
    reached, for people.
    """

    input_tokens: int
    how: str
    output_tokens: int
    words: str
    weight: int
    lane: Lane


class Lengths(Protocol):
    """How long answers are expected to be."""

    def expected(self, prompt: Prompt, input_tokens: int, now: float) -> tuple[int, str]:
        """Output tokens of all answers together, and in words how they were reached."""


class Thresholds(Protocol):
    """Which weights are light and heavy."""

    def plan(self, now: float) -> LanePlan:
        """The thresholds in force."""


class PriorLengths:
    """Expectations that learn nothing: the request's own maximum, else by kind and input."""

    def __init__(self, rules: Rules) -> None:
        self._given = rules.equivalents

    def expected(self, prompt: Prompt, input_tokens: int, now: float) -> tuple[int, str]:
        """As `broker.core.weighing.expected_output` says."""
        del now
        return expected_output(prompt.fields, prompt.kind, input_tokens, self._given), "prior"


class FixedThresholds:
    """Those of the settings."""

    def __init__(self, rules: Rules) -> None:
        self._plan = rules.thresholds

    def plan(self, now: float) -> LanePlan:
        """Always the same."""
        del now
        return self._plan


class Weigher:
    """Weighs the prompts of one classifier."""

    def __init__(
        self,
        rules: Rules,
        count_tokens: CountTokens,
        lengths: Lengths | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        self._count = count_tokens
        self.use(rules, lengths, thresholds)

    def use(
        self, rules: Rules, lengths: Lengths | None = None, thresholds: Thresholds | None = None
    ) -> None:
        """Other rules, as when it was made, from the next prompt on."""
        self._rules = rules
        self._lengths = lengths or PriorLengths(rules)
        self._thresholds = thresholds or FixedThresholds(rules)

    def weigh(self, prompt: Prompt, now: float) -> Weighed:
        """Weigh one prompt at `now` (unix seconds)."""
        content = content_of(prompt.fields, self._rules.equivalents)
        tokens, how = self._count(content.texts)
        return self.weighed(prompt, tokens + content.extra_tokens, how, now)

    def weighed(self, prompt: Prompt, tokens: int, how: str, now: float) -> Weighed:
        """Weigh one prompt whose input tokens are counted, all of them."""
        rules = self._rules
        output_tokens, words = self._lengths.expected(prompt, tokens, now)
        weight = weigh(tokens, output_tokens, rules.output_factor)
        plan = self._thresholds.plan(now)
        lane = lane_for(weight, prompt.priority, plan)
        if plan is not rules.thresholds:
            words += f"; light is up to {plan.light_max:,}, heavy from {plan.heavy_min:,}"
        return Weighed(tokens, how, output_tokens, words, weight, lane)
