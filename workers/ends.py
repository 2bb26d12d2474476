"""How an attempt at a job, or its wait, may end."""

from dataclasses import dataclass, field

from broker.core.routing import Decision, NoDecision, Reason
from broker.records.completion import Completion


@dataclass(frozen=True, slots=True)
class Rest:
    """It is tried again here, from `until` on (unix seconds)."""

    until: float


@dataclass(frozen=True, slots=True)
class Move:
    """Another provider gets it."""

    to: Decision


@dataclass(frozen=True, slots=True)
class Finish:
    """It is done; `value` is the encoded completion."""

    completion: Completion
    value: bytes = field(repr=False)


End = Rest | Move | Finish


def is_able(chosen: Decision | NoDecision) -> bool:
    """Whether a choice is a provider that is likely to do it, rather than the least bad one."""
    return isinstance(chosen, Decision) and chosen.reason not in (Reason.SILENT, Reason.LEAST_BAD)
