"""Results that hold while little has changed. Pure."""

from typing import Final, Generic, TypeVar

_KEEP_S: Final = 1.0
_GROWN: Final = 17 / 16

K = TypeVar("K")
V = TypeVar("V")


class Recall(Generic[K, V]):
    """What was worked out from counts that only grow; each holds for a second or a sixteenth more.

    Holds `most` of them and then begins anew: what is asked often is back at once.
    """

    __slots__ = ("_held", "_most")

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._held: dict[K, tuple[V, int, float]] = {}

    def of(self, key: K, count: int, now: float) -> V | None:
        """The result, if it still holds when the counts are `count` at `now` (seconds)."""
        held = self._held.get(key)
        if held is None:
            return None
        value, before, at = held
        holds = before <= count <= before * _GROWN and 0.0 <= now - at <= _KEEP_S
        return value if holds else None

    def keep(self, key: K, value: V, count: int, now: float) -> V:
        """Keep a result, and give it back."""
        if len(self._held) >= self._most:
            self._held.clear()
        self._held[key] = (value, count, now)
        return value
