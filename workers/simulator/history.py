"""What a cloud let in and turned away, second by second, so that a limit can be checked later."""

from collections import deque
from typing import Final

SECONDS: Final = 900
"""So many seconds with traffic are remembered: 15 minutes of it."""
COLUMNS: Final = ("second", "accepted", "refused", "tokens", "used")


class History:
    """Of one event loop. Seconds in which nothing came are left out."""

    __slots__ = ("_rows",)

    def __init__(self) -> None:
        self._rows: deque[list[int]] = deque(maxlen=SECONDS)

    def accepted(self, now: float, tokens: int) -> None:
        """A call was let in, with so many tokens by the estimate that limits go by."""
        row = self._row(now)
        row[1] += 1
        row[3] += tokens

    def refused(self, now: float) -> None:
        """A call was turned away because there were too many."""
        self._row(now)[2] += 1

    def used(self, now: float, tokens: int) -> None:
        """A whole answer went out, with so many tokens that are billed."""
        self._row(now)[4] += tokens

    def rows(self) -> list[list[int]]:
        """Rows of COLUMNS, oldest first.

        Unix second, calls let in, calls turned away, tokens that were estimated for those let in,
        tokens of the answers that ended.
        """
        return [list(row) for row in self._rows]

    def _row(self, now: float) -> list[int]:
        second = int(now)
        rows = self._rows
        if rows and rows[-1][0] >= second:  # the system's clock may be set back
            return rows[-1]
        rows.append([second, 0, 0, 0, 0])
        return rows[-1]
