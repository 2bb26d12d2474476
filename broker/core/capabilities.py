"""Who can be asked a prompt at all: by what it needs and how long it is. Pure."""

from collections.abc import Iterable, Mapping

from broker.core.needs import NEEDS
from broker.core.route_reasons import Bar, Loss
from broker.records.prompt import Offer


def lacking(
    providers: Iterable[str], offers: Mapping[str, Offer], needs: frozenset[str], tokens: int
) -> dict[str, Bar]:
    """Those of the providers that cannot be asked, each with the reason.

    `offers` are those of the prompt's model, `tokens` the prompt's own, without the answer's.
    """
    found = {}
    for provider in providers:
        offer = offers.get(provider)
        bar = None if offer is None else _why_not(offer, needs, tokens)
        if bar is not None:
            found[provider] = bar
    return found


def _why_not(offer: Offer, needs: frozenset[str], tokens: int) -> Bar | None:
    reasons = []
    missing = needs & offer.lacks
    if missing:
        reasons.append("lacks " + " and ".join(sorted(NEEDS.get(word, word) for word in missing)))
    if offer.context_tokens is not None and tokens > offer.context_tokens:
        reasons.append(f"holds {offer.context_tokens:,} tokens, not {tokens:,}")
    if not reasons:
        return None
    return Bar(Loss.LACKS if missing else Loss.TOO_LONG, " and ".join(reasons))
