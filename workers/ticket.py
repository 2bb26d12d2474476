"""The breaker's leave for one call, which goes back exactly once, whatever becomes of the call."""

from broker.core.breaker import Breaker


class Ticket:
    """One call that a breaker has allowed. The first word on it counts, later ones say nothing.

    Whoever holds it may therefore say `unheard` at the end of every path: a ticket that is never
    given back would leave a half-open breaker without a probe for good.
    """

    __slots__ = ("_back", "_breaker", "_number")

    def __init__(self, breaker: Breaker, number: int) -> None:
        self._breaker = breaker
        self._number = number
        self._back = False

    @classmethod
    def ask(cls, breaker: Breaker, now: float) -> "Ticket | None":
        """Leave for one call now, or None when there must be none."""
        number = breaker.allows(now)
        return None if number is None else cls(breaker, number)

    def succeeded(self, now: float) -> None:
        """The provider answered as it should."""
        if self._first_word():
            self._breaker.succeeded(self._number, now)

    def failed(self, now: float) -> None:
        """The provider failed."""
        if self._first_word():
            self._breaker.failed(self._number, now)

    def spent(self, now: float) -> bool:
        """Quota or credit is used up; True when that is news."""
        return self._first_word() and self._breaker.spent(self._number, now)

    def unheard(self) -> None:
        """The call said nothing about the provider's health, or was never made."""
        if self._first_word():
            self._breaker.unheard(self._number)

    def _first_word(self) -> bool:
        first, self._back = not self._back, True
        return first
