"""Which provider a weighed prompt goes to: what the core is asked, and what it is told of."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from broker.classifier.rules import Rules
from broker.classifier.weighing import Weighed
from broker.core.capabilities import lacking
from broker.core.needs import needs_of
from broker.core.provider_view import Candidate
from broker.core.routing import Decision, NoDecision, Request, choose
from broker.records.prompt import Prompt

_SURELY: Final = 0.8
"""An estimate may be a fifth too high, and nobody is refused for that: a provider would say so."""


class Providers(Protocol):
    """Where a decision learns of the providers and leaves its own mark."""

    def candidates(self, providers: Sequence[str], now: float) -> Sequence[Candidate]:
        """Figures of these providers, in order of preference."""

    def sent(self, provider: str, weight: int, now: float) -> None:
        """A prompt of this weight goes to the provider."""


class Router:
    """Routes the prompts of one classifier."""

    def __init__(self, rules: Rules, providers: Providers) -> None:
        self._rules = rules
        self._providers = providers

    def choose(self, prompt: Prompt, weighed: Weighed, now: float) -> Decision | NoDecision:
        """Choose for one prompt at `now`; nothing is noted yet."""
        rules = self._rules
        serving = rules.catalog.providers.get(prompt.model, ())
        return choose(
            Request(
                weighed.lane,
                weighed.weight,
                pin=prompt.provider,
                lacking=self._lacking(prompt, weighed),
            ),
            self._providers.candidates(serving, now) if serving else (),
            rules.routing,
        )

    def sent(self, chosen: Decision, weighed: Weighed, now: float) -> None:
        """The choice was carried out, so that the next ones count it."""
        self._providers.sent(chosen.provider, weighed.weight, now)

    def _lacking(self, prompt: Prompt, weighed: Weighed) -> Mapping[str, str]:
        """Who cannot be asked it; cheap where every model can do everything."""
        offers = self._rules.catalog.offers.get(prompt.model)
        if not offers:
            return {}
        tokens = weighed.input_tokens
        sure = tokens if weighed.how == "counted" else int(tokens * _SURELY)
        return lacking(offers, offers, needs_of(prompt.fields, prompt.kind), sure)
