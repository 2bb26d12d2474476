"""What one call has taken of its provider's limits, until its end is known."""

from dataclasses import dataclass

from broker.core.concurrency import Begun
from broker.core.quotas import Reservation


@dataclass(frozen=True, slots=True, eq=False)
class Taken:
    """Of the quotas, and of the calls at once. No two are equal."""

    reservation: Reservation
    begun: Begun | None
