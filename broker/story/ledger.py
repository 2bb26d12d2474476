"""What an audit remembers of each id: packed, about 200 bytes, however long the ids are."""

from array import array
from hashlib import blake2b
from math import inf
from typing import Final

from broker.core.lanes import LANES

DIGEST_BYTES: Final = 12
"""96 bits: two ids of a million are taken for one with a chance of 1 in 10^17."""
MOST: Final = 65_535
NO_LANE: Final = len(LANES)


def digest(identity: str) -> bytes:
    """What stands for an id."""
    return blake2b(identity.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).digest()


class Ledger:
    """One row for each id; a column is a packed array. Times are unix seconds."""

    def __init__(self) -> None:
        self._rows: dict[bytes, int] = {}
        self.accepted_at = array("d")
        self.ends_at = array("d")
        """The deadline; infinite without one."""
        self.seen_at = array("d")
        """When the id was last met in its home partition."""
        self.away_at = array("d")
        self.away = array("h")
        """Records met away from home, less the copies that were forwarded."""
        self.due = array("H")
        self.completed = array("H")
        self.attempts = array("Q")
        """Bit n: a call with this attempt number was started."""
        self.lane = array("B")
        self.waits = array("B")
        """1: a record of it, prompt or work, waits for whoever reads it next."""
        self.refused = array("B")
        """1: a provider refused to answer it."""
        self.answered = array("H")
        """Calls that gave it a completion."""
        self.open = array("h")
        """Calls that were started, less those that have ended."""

    def __len__(self) -> int:
        """How many ids."""
        return len(self._rows)

    def find(self, identity: str) -> int:
        """The row of an id, or -1."""
        return self._rows.get(digest(identity), -1)

    def row(self, identity: str) -> int:
        """The row of an id, made when it is new."""
        key = digest(identity)
        found = self._rows.get(key)
        if found is not None:
            return found
        number = len(self._rows)
        self._rows[key] = number
        self.accepted_at.append(0.0)
        self.ends_at.append(inf)
        self.seen_at.append(-inf)
        self.away_at.append(-inf)
        self.away.append(0)
        self.due.append(0)
        self.completed.append(0)
        self.attempts.append(0)
        self.lane.append(NO_LANE)
        self.waits.append(0)
        self.refused.append(0)
        self.answered.append(0)
        self.open.append(0)
        return number

    def digests(self, rows: set[int]) -> set[bytes]:
        """What stands for the ids of these rows."""
        return {key for key, number in self._rows.items() if number in rows}
