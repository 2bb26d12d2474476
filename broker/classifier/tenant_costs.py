"""What a prompt may cost, before it is known who answers it: as much as at the dearest of those."""

from collections.abc import Callable, Mapping

from broker.classifier.weighing import Weighed
from broker.core.prices import Prices
from broker.records.prompt import Prompt
from broker.records.usage import Usage
from broker.settings import Settings
from broker.settings.prices import price_tables, priced_models


class ExpectedCosts:
    """US dollars of prompts; `unpriced` is told once of a model that no price is known of."""

    def __init__(
        self, prices: Mapping[str, Mapping[str, Prices]], unpriced: Callable[[str], None]
    ) -> None:
        """`prices` by model alias and provider."""
        self._prices = prices
        self._unpriced = unpriced
        self._told: set[str] = set()

    def of(self, prompt: Prompt, weighed: Weighed) -> float:
        """Of its input and the output that is expected; 0 where no price is known."""
        usage = Usage(weighed.input_tokens, weighed.output_tokens, images=_pictures(prompt))
        by_provider = self._prices.get(prompt.model, {})
        if prompt.provider is not None and prompt.provider in by_provider:
            by_provider = {prompt.provider: by_provider[prompt.provider]}
        costs = [cost for one in by_provider.values() if (cost := one.cost(usage)) is not None]
        if costs:
            return max(costs)
        if prompt.model not in self._told:
            self._told.add(prompt.model)
            self._unpriced(prompt.model)
        return 0.0


def expected_costs(settings: Settings, unpriced: Callable[[str], None]) -> ExpectedCosts:
    """By these settings; raises UsageError for a table of prices that is wrong."""
    tables = price_tables(settings)
    prices: dict[str, dict[str, Prices]] = {}
    for provider in settings.providers:
        for alias, priced in priced_models(settings, provider, tables).items():
            prices.setdefault(alias, {})[provider] = priced.prices
    return ExpectedCosts(prices, unpriced)


def _pictures(prompt: Prompt) -> int:
    if prompt.kind != "image":
        return 0
    count = prompt.fields.get("n")
    return count if isinstance(count, int) and count > 0 else 1
