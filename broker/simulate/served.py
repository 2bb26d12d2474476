"""How a provider serves one call, and whoever knows that."""

from typing import NamedTuple, Protocol

from broker.simulate.asked import Asked
from workers.calling import CallResult
from workers.simulator.faults import Fault


class Served(NamedTuple):
    """How a provider serves one call: seconds from when it has a place.

    `fault` is what goes wrong with it, if anything; `failure` a failure as it was measured.
    """

    output_tokens: int
    first_s: float
    whole_s: float
    fault: Fault | None = None
    failure: CallResult | None = None
    place: float = 0.5
    """Where a cut falls, as a share of the answer."""


class Law(Protocol):
    """How long a provider's calls take, and how they go wrong."""

    def served(self, asked: Asked, number: int, now: float) -> Served:
        """Of the prompt's call `number` here (from 1); the same for the same arguments."""
