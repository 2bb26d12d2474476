"""Which provider a weighed prompt goes to: what the core is asked, and what it is told of."""

from typing import Final, Protocol

from broker.classifier.rules import Rules
from broker.classifier.weighing import Weighed
from broker.core.lanes import Lane
from broker.core.route_terms import Figures, Load, RouteTerms
from broker.core.routing import Decision, NoDecision
from broker.records.prompt import Prompt

_SURELY: Final = 0.8
"""An estimate may be a fifth too high, and nobody is refused for that: a provider would say so."""


class Providers(Figures, Protocol):
    """Where a decision learns of the providers and leaves its own mark."""

    def sent(self, provider: str, weight: int, now: float, lane: Lane = "light") -> None:
        """A prompt of this weight and lane goes to the provider."""


class Router:
    """Routes the prompts of one classifier."""

    def __init__(self, rules: Rules, providers: Providers) -> None:
        self._terms = rules.routes
        self._providers = providers

    def use(self, terms: RouteTerms) -> None:
        """Other policies, constraints and prices from the next choice on."""
        self._terms = terms

    def choose(self, prompt: Prompt, weighed: Weighed, now: float) -> Decision | NoDecision:
        """Choose for one prompt at `now`; nothing is noted yet."""
        tokens = weighed.input_tokens
        sure = tokens if weighed.how == "counted" else int(tokens * _SURELY)
        load = Load(weighed.lane, weighed.weight, tokens, weighed.output_tokens, sure)
        return self._terms.choose(prompt, load, self._providers, now)

    def sent(self, chosen: Decision, weighed: Weighed, now: float) -> None:
        """The choice was carried out, so that the next ones count it."""
        self._providers.sent(chosen.provider, weighed.weight, now, weighed.lane)
