"""Who can be asked a prompt at all: by what it needs and how long it is. Pure."""

from collections.abc import Iterable, Mapping

from broker.core.needs import NEEDS
from broker.records.prompt import Offer


def lacking(
    providers: Iterable[str], offers: Mapping[str, Offer], needs: frozenset[str], tokens: int
) -> dict[str, str]:
    """Those of the providers that cannot be asked, each with the reason, to follow its name.

    `offers` are those of the prompt's model, `tokens` the prompt's own, without the answer's.
    """
    found = {}
    for provider in providers:
        offer = offers.get(provider)
        why = "" if offer is None else _why_not(offer, needs, tokens)
        if why:
            found[provider] = why
    return found


def _why_not(offer: Offer, needs: frozenset[str], tokens: int) -> str:
    reasons = []
    missing = needs & offer.lacks
    if missing:
        reasons.append("lacks " + " and ".join(sorted(NEEDS.get(word, word) for word in missing)))
    if offer.context_tokens is not None and tokens > offer.context_tokens:
        reasons.append(f"holds {offer.context_tokens:,} tokens, not {tokens:,}")
    return " and ".join(reasons)
