"""Which of a tenant's items goes first inside a lane: the shortest, with ageing.

Each item has a key that is fixed when it comes, and the least goes first: the time at which it was
accepted plus `AGEING_S` for each token unit of its weight, at most `LONGEST_PASS_S`. So an item is
passed only by those that were accepted less than `AGEING_S` times the difference of their weights
after it; by none that was accepted more than `LONGEST_PASS_S` later (`HEAD_START_S` more where that
one is interactive).

What is interactive counts as accepted `HEAD_START_S` earlier. That moves it among the items of its
own tenant only: who may say of its own prompts that they are urgent must not get ahead of others
by it.
"""

from typing import Final, Protocol

from broker.core.lanes import Lane

AGEING_S: Final = 0.001
"""For so many seconds a token unit lets shorter ones pass: about a third of what it takes to make
one, so that an item is held up by less than it holds up others."""
LONGEST_PASS_S: Final = 60.0
HEAD_START_S: Final = 10.0


class Waits(Protocol):
    """What waits. Compared and hashed by identity.

    `arrived_at` is when the prompt was accepted and `not_before` when it may start at the earliest,
    in unix seconds; `weight` is in token units.
    """

    @property
    def tenant(self) -> str:
        """Whose it is."""

    @property
    def model(self) -> str:
        """What is asked: a model's quotas may make its items wait."""

    @property
    def lane(self) -> Lane:
        """Where it waits."""

    @property
    def weight(self) -> int:
        """What it is expected to take."""

    @property
    def priority(self) -> str:
        """`interactive`, `standard` or `batch`."""

    @property
    def arrived_at(self) -> float:
        """When the prompt was accepted."""

    @property
    def deadline(self) -> float | None:
        """When it ends if it has not started."""

    @property
    def not_before(self) -> float | None:
        """When it may start at the earliest."""


def key_of(item: Waits, now: float) -> float:
    """Where an item that comes at `now` stands among those of its tenant: the least goes first."""
    # What says that it was accepted in the future must not stand behind all that really comes then.
    key = min(item.arrived_at, now) + min(AGEING_S * item.weight, LONGEST_PASS_S)
    return key - HEAD_START_S if item.priority == "interactive" else key
