"""What a tenant's limits say to a prompt before it is routed. Pure: no I/O, no clock."""

from dataclasses import dataclass
from typing import Protocol

from broker.classifier.weighing import Weighed
from broker.log.units import Output
from broker.records.completion import Failure
from broker.records.prompt import Prompt
from broker.records.tenants import Charged


@dataclass(frozen=True, slots=True)
class Admitted:
    """It may go on. `charges` are written in the transaction that routes it.

    `not_before` (unix seconds) is when it may start, where the tenant's rate makes it wait;
    `charged` is what the charges say, for whoever ends it.
    """

    not_before: float | None = None
    charges: tuple[Output, ...] = ()
    charged: Charged | None = None


class Door(Protocol):
    """Who comes in."""

    def admit(self, prompt: Prompt, weighed: Weighed, now: float) -> Admitted | Failure:
        """Let a prompt in, or say why it ends here; nothing is counted yet."""

    def routed(self, prompt: Prompt, weighed: Weighed, admitted: Admitted, now: float) -> None:
        """It was routed: count it."""


class OpenDoor:
    """No limits at all."""

    def admit(self, prompt: Prompt, weighed: Weighed, now: float) -> Admitted | Failure:
        """Everyone."""
        del prompt, weighed, now
        return _FREELY

    def routed(self, prompt: Prompt, weighed: Weighed, admitted: Admitted, now: float) -> None:
        """Nothing is counted."""


_FREELY = Admitted()
