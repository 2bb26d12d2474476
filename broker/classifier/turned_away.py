"""How a prompt ends that comes no further than the classifier, with the decision's figures. Pure.

Either it is too late, or nobody can take it, or its tenant's limits keep it out.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from broker.classifier.weighing import Weighed
from broker.core.routing import NoDecision
from broker.core.tenant_limits import Refused
from broker.records.completion import Failure
from broker.records.not_routed import BUDGET_EXHAUSTED, RATE_LIMITED, NotRouted
from broker.records.times import to_rfc3339

_WORDS: Final = {"requests": "requests", "tokens": "tokens", "usd": "US dollars"}
_DIGITS: Final = 9


def too_late() -> Failure:
    """Its deadline has passed before anything was decided."""
    text = "The deadline had passed before the prompt was routed."
    return Failure("expired", "deadline_passed", text)


def nobody_takes(chosen: NoDecision, weighed: Weighed) -> Failure:
    """No provider can take it, or may."""
    why = replace(
        chosen.not_routed,
        expected_output_tokens=weighed.output_tokens,
        expected_by=weighed.words,
    )
    return Failure("routing", why.code, f"Nobody can take it: {why.reason}.", not_routed=why)


def kept_out(refused: Refused, weighed: Weighed, latest: float, share: float) -> Failure:
    """A limit of its tenant keeps it out.

    For one of a minute it could have waited until `latest` (unix seconds); `share` is the
    classifier's part of the limits.
    """
    limit = f"{refused.limit:,.10g} {_WORDS[refused.dimension]} a {refused.period}"
    if refused.retry_at is None:
        text = f"This prompt alone is more than the tenant's limit of {limit}."
    else:
        text = (
            f"The tenant has reached its limit of {limit}; "
            f"ask again under a new id from {to_rfc3339(refused.retry_at)} on."
        )
    code = BUDGET_EXHAUSTED if refused.spent else RATE_LIMITED
    figures: dict[str, Any] = {
        "period": refused.period,
        "dimension": refused.dimension,
        "limit": refused.limit,
        "used": round(refused.used, _DIGITS),
        "asked": round(refused.asked, _DIGITS),
    }
    if refused.period == "minute":
        figures["latest"] = to_rfc3339(latest)
    if share < 1.0:
        figures["share"] = round(share, 4)
    why = NotRouted(
        code,
        reason_of(figures),
        limit=figures,
        expected_output_tokens=weighed.output_tokens,
        expected_by=weighed.words,
    )
    return Failure("limit", code, text, retry_at=refused.retry_at, not_routed=why)


def reason_of(figures: Mapping[str, Any]) -> str:
    """As in `58 of 60 requests a minute are used, and it asks for 5`."""
    used, asked, limit = (f"{figures[name]:,.10g}" for name in ("used", "asked", "limit"))
    what = _WORDS[figures["dimension"]]
    text = f"{used} of {limit} {what} a {figures['period']} are used, and it asks for {asked}"
    share = figures.get("share")
    return text if share is None else f"{text}; this classifier has {share:.0%} of the limit"
