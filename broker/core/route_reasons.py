"""The closed lists of why: a provider was chosen, none could be, a candidate lost.

Metrics, audit, records and headers use these words, so one is added here or nowhere.
"""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a provider was chosen."""

    PREFERRED = "preferred"
    ONLY = "only"
    PINNED = "pinned"
    CAPABLE = "capable"
    ALLOWED = "allowed"
    DEADLINE = "deadline"
    OVERFLOW = "overflow"
    FASTEST = "fastest"
    CHEAPEST = "cheapest"
    WEIGHTED = "weighted"
    BREAKER = "breaker"
    SILENT = "silent"
    FAILED = "failed"
    LIMITED = "limited"
    BEHIND = "behind"
    LEAST_WAIT = "least_wait"
    LEAST_LATE = "least_late"
    PROBE = "probe"
    LEAST_BAD = "least_bad"


class NoReason(StrEnum):
    """Why no provider can get a prompt; the code of the failure."""

    NOBODY_SERVES = "nobody_serves"
    NOT_EXPRESSIBLE = "not_expressible"
    NOT_ALLOWED = "not_allowed"
    OVER_PRICE = "over_price"
    PINNED_ELSEWHERE = "pinned_not_serving"
    PINNED_TRIED = "pinned_tried"
    ALL_TRIED = "all_tried"
    MOVES_SPENT = "moves_spent"


class Loss(StrEnum):
    """Why a candidate did not get a prompt that another one got."""

    LACKS = "lacks"
    TOO_LONG = "too_long"
    PROVIDER = "provider_not_allowed"
    REGION = "region_not_allowed"
    PRICE = "over_price"
    PINNED = "pinned_elsewhere"
    TRIED = "tried"
    MOVES_SPENT = "moves_spent"
    BREAKER = "breaker"
    PROBING = "probing"
    SILENT = "silent"
    LATE = "late"
    OVER_LIMIT = "over_limit"
    LESS_PREFERRED = "less_preferred"
    SLOWER = "slower"
    DEARER = "dearer"
    NOT_DRAWN = "not_drawn"


@dataclass(frozen=True, slots=True)
class Bar:
    """What keeps a provider from a prompt altogether; `words` follow its name."""

    code: Loss
    words: str
