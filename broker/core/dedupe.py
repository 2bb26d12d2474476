"""Which prompts were seen before, exactly, within a window, in bounded memory.

Every id has a home partition of `llm.prompts`, so one `DedupeWindow` for each assigned partition
is enough. The verdict on a record depends only on the records before it in its partition: reading
them again, after a crash or into a new window, gives the same verdicts. For that, show the window
every record of the partition in order: on assignment those below the committed base, from one
window's time before it; then each one read, also one that is skipped because it is done past the
base. Not shown are records that arrived away from home: they are forwarded, and met there.
"""

import struct
from array import array
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from math import inf
from typing import Final

_SHARDS: Final = 1024  # each index is small, so that none takes long to grow
_EMPTY: Final = 0xFFFF_FFFF
_FIRST_SLOTS: Final = 16
_CHUNK_BITS: Final = 12
_CHUNK: Final = 1 << _CHUNK_BITS
_halves: Final = struct.Struct("<QQ").unpack
_MURMUR: Final = 0x5BD1_E995
_SEED: Final = 0x9747_B28C
_U32: Final = 0xFFFF_FFFF

BYTES_PER_ID: Final = 44
"""Memory of one remembered id; 41 to 47 were measured from 100,000 ids to 2 million, as the index
fills up and grows. A GB holds about 23 million ids."""


class Kind(Enum):
    """What a record is to its window."""

    NEW = "new"
    SAME = "same"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do with a record: answer it when it is NEW or the SAME again, drop a DUPLICATE."""

    kind: Kind
    of: int | None = None
    """For a duplicate: the offset of the record that is answered."""


NEW: Final = Verdict(Kind.NEW)
SAME: Final = Verdict(Kind.SAME)


def murmur2(data: bytes) -> int:
    """MurmurHash2 with the seed of Kafka's Java clients, unsigned."""
    length = len(data)
    value = _SEED ^ length
    for word in struct.unpack_from(f"<{length >> 2}I", data):
        mixed = word * _MURMUR & _U32
        value = (value * _MURMUR ^ (mixed ^ mixed >> 24) * _MURMUR) & _U32
    rest = length & 3
    if rest:
        value = (value ^ int.from_bytes(data[-rest:], "little")) * _MURMUR & _U32
    value = (value ^ value >> 13) * _MURMUR & _U32
    return value ^ value >> 15


def home_partition(identity: str, partitions: int) -> int:
    """The partition of `llm.prompts` that an id belongs to: where Java's clients send this key."""
    return (murmur2(identity.encode()) & 0x7FFF_FFFF) % partitions


class _Chunk:
    """A stretch of remembered ids in the order of their first records."""

    __slots__ = ("high", "low", "offsets", "times")

    def __init__(self) -> None:
        blank = bytes(8 * _CHUNK)
        self.high = array("Q", blank)
        self.low = array("Q", blank)
        self.offsets = array("Q", blank)
        self.times = array("d", blank)


class DedupeWindow:
    """Ids of one partition, remembered for `window_s` seconds of record time, at most `max_ids`.

    Time is that of the records, made monotone: a record that claims to be older than one before it
    counts as of that one's time. Every record with an id, a duplicate too, starts the window anew
    for this id. Ids are held as 128-bit digests; two different ones are never confused in practice.

    When `max_ids` are inside the window, the one first seen longest ago is forgotten early, and
    `evicted_early` counts it: from then on a duplicate of it would be answered again.
    """

    def __init__(self, window_s: float, max_ids: int) -> None:
        if window_s <= 0 or not 0 < max_ids < _EMPTY:
            raise ValueError(f"a window of {window_s} s and {max_ids} ids can hold nothing")
        self.window_s = window_s
        self.max_ids = max_ids
        self.evicted_early = 0
        """Ids forgotten inside the window, since the beginning."""
        self._latest = -inf
        self._chunks: list[_Chunk] = []
        self._head = 0  # place of the oldest id in the first chunk
        self._first = 0  # its number; numbers count ids, modulo _EMPTY
        self._live = 0
        self._again: dict[int, float] = {}  # number -> time of the last duplicate
        self._index = [array("I", [_EMPTY]) * _FIRST_SLOTS for _ in range(_SHARDS)]
        self._used = [0] * _SHARDS

    def __len__(self) -> int:
        """Ids remembered now."""
        return self._live

    def check(self, identity: str, offset: int, at: float, now: float = inf) -> Verdict:
        """Judge the record at `offset` with this id and timestamp, and remember it.

        `at` is the record's timestamp in unix seconds; one that lies after `now` counts as `now`,
        so that a producer with a wrong clock cannot empty the window. Remembering is idempotent:
        nothing has to be undone when the transaction that answers the record is rolled back.
        """
        high, low = _halves(blake2b(identity.encode(), digest_size=16).digest())
        when = max(self._latest, min(at, now))
        self._latest = when
        self._forget_before(when - self.window_s)
        shard = high & (_SHARDS - 1)
        slots = self._index[shard]
        mask = len(slots) - 1
        slot = (high >> 10) & mask
        free = -1
        while (number := slots[slot]) != _EMPTY:
            age = (number - self._first) % _EMPTY
            if age >= self._live:
                free = slot if free < 0 else free
            else:
                place = self._head + age
                chunk = self._chunks[place >> _CHUNK_BITS]
                place &= _CHUNK - 1
                if chunk.low[place] == low and chunk.high[place] == high:
                    return self._seen(chunk, place, number, offset, when)
            slot = (slot + 1) & mask
        if free < 0:
            free = slot
            self._used[shard] += 1
        slots[free] = self._append(high, low, offset, when)
        if self._used[shard] * 4 > len(slots) * 3:
            self._reindex(shard)
        return NEW

    def _seen(self, chunk: _Chunk, place: int, number: int, offset: int, when: float) -> Verdict:
        of = chunk.offsets[place]
        if of == offset:
            return SAME
        last = self._again.get(number, chunk.times[place])
        self._again[number] = when
        if offset > of and when - last <= self.window_s:
            return Verdict(Kind.DUPLICATE, of)
        # Either the window is over, or we were set back to before the record that was remembered:
        # the first in the log is the one to answer, as for whoever rebuilds the window.
        chunk.offsets[place] = offset
        return NEW

    def _append(self, high: int, low: int, offset: int, when: float) -> int:
        if self._live >= self.max_ids:
            last = self._again.pop(self._first, self._chunks[0].times[self._head])
            if last >= when - self.window_s:
                self.evicted_early += 1
            self._drop_oldest()
        place = self._head + self._live
        if place >> _CHUNK_BITS >= len(self._chunks):
            self._chunks.append(_Chunk())
        chunk = self._chunks[place >> _CHUNK_BITS]
        place &= _CHUNK - 1
        chunk.high[place] = high
        chunk.low[place] = low
        chunk.offsets[place] = offset
        chunk.times[place] = when
        number = (self._first + self._live) % _EMPTY
        self._live += 1
        return number

    def _drop_oldest(self) -> None:
        self._live -= 1
        self._first = (self._first + 1) % _EMPTY
        self._head += 1
        if self._head == _CHUNK:
            self._head = 0
            del self._chunks[0]

    def _forget_before(self, horizon: float) -> None:
        while self._live and self._chunks[0].times[self._head] < horizon:
            chunk, place, number = self._chunks[0], self._head, self._first
            last = self._again.pop(number, -inf)
            self._drop_oldest()
            if last >= horizon:
                self._move_up(chunk, place, number, last)

    def _move_up(self, chunk: _Chunk, place: int, number: int, last: float) -> None:
        """Keep an id that was seen again: its place becomes the newest, its offset stays."""
        high = chunk.high[place]
        slots = self._index[high & (_SHARDS - 1)]
        mask = len(slots) - 1
        slot = (high >> 10) & mask
        while slots[slot] != number:
            slot = (slot + 1) & mask
        kept = self._append(high, chunk.low[place], chunk.offsets[place], self._latest)
        slots[slot] = kept
        self._again[kept] = last

    def _reindex(self, shard: int) -> None:
        """Make an index that is at most half full, without the forgotten ids."""
        first, live, head, chunks = self._first, self._live, self._head, self._chunks
        old = [number for number in self._index[shard] if number != _EMPTY]
        kept = [number for number in old if (number - first) % _EMPTY < live]
        size = _FIRST_SLOTS
        while size < 2 * len(kept):
            size *= 2
        slots = array("I", [_EMPTY]) * size
        mask = size - 1
        for number in kept:
            place = head + (number - first) % _EMPTY
            slot = (chunks[place >> _CHUNK_BITS].high[place & (_CHUNK - 1)] >> 10) & mask
            while slots[slot] != _EMPTY:
                slot = (slot + 1) & mask
            slots[slot] = number
        self._index[shard] = slots
        self._used[shard] = len(kept)
