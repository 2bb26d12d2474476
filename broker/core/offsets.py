"""What is done of one assigned partition, when records are done out of order.

Terms: an offset is *delivered* when its record was handed to us, *done* when everything that had
to come of it is committed, *in hand* between the two. The *base* is the lowest offset that is not
done, so it is the next one a successor has to read. The *position* is one past the highest offset
delivered or passed. Offsets below the position that were never delivered (transaction markers,
aborted or compacted records) hold nothing to do: they are done.

The design is the Parallel Consumer's: commit the base, and beside it, as text, which offsets past
it are done (`broker.core.bitmap`). Never the highest offset seen: that loses what is in hand.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from broker.core import bitmap

PAUSE_AT: Final = 0.75
"""Window fraction at which a partition is no longer fetched."""

RESUME_AT: Final = 0.5
"""Window fraction at which a paused partition is fetched again; lower, so that it does not flap."""

_TRIM_BYTES: Final = 4096
_ALL_DONE: Final = 0xFF


class NotDeliveredError(ValueError):
    """An offset was called done that was never delivered: committing it could lose records."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a commit said about offsets past its base."""

    done: frozenset[int] = field(default_factory=frozenset)
    problem: str | None = None
    """Why the metadata could not be read: then nothing past the base is done. Warn and count it."""


class PartitionProgress:
    """Progress in one partition during one assignment. Not thread-safe.

    Every call costs the same whatever the window's width, amortised over the offsets, except
    `preview`, `commit` and `restore`, which cost a copy of at most some kilobytes.
    """

    __slots__ = ("_base", "_bits", "_high", "_origin", "_position")

    def __init__(self, base: int) -> None:
        if base < 0:
            raise ValueError(f"offset {base} is not a place in a partition")
        self._position = base
        self._start(base)

    def _start(self, base: int) -> None:
        """Nothing is in hand, and nothing is known past `base`."""
        self._base = base
        self._high = base  # one past the highest offset known to be done
        self._origin = base & ~7  # offset of the lowest bit in _bits; a multiple of 8
        self._bits = bytearray(8)

    @property
    def base(self) -> int:
        """Lowest offset that is not done: what to commit."""
        return self._base

    @property
    def position(self) -> int:
        """One past the highest offset delivered or passed."""
        return self._position

    @property
    def window(self) -> float:
        """Offsets past the base, as a fraction of what one commit always has room for."""
        return (max(self._position, self._high) - self._base) / bitmap.CAPACITY

    def wants_pause(self, *, paused: bool) -> bool:
        """Whether this partition should not be fetched now, given whether it is paused already."""
        return self.window >= (RESUME_AT if paused else PAUSE_AT)

    def room(self, offset: int) -> bool:
        """Whether `offset`, once done, fits into a commit whatever else is done by then.

        Start no work on a record without room: its result could not be committed yet.
        """
        return offset - self._base < bitmap.CAPACITY

    def is_done(self, offset: int) -> bool:
        """Whether nothing is left to do for this offset."""
        if offset < self._base:
            return True
        if offset >= self._high:
            return False
        at = offset - self._origin
        return bool(self._bits[at >> 3] >> (at & 7) & 1)

    def delivered(self, offset: int) -> bool:
        """Take note of a record; True when it is to be worked on, False when done or in hand."""
        position = self._position
        if offset < position:
            return False
        self._position = offset + 1
        if offset > position:
            self._fill(position, offset)
            self._advance()
        return offset >= self._high or not self.is_done(offset)

    def passed(self, position: int) -> None:
        """The consumer stands at `position`: what it skipped on the way will never be delivered.

        Call it only with a position that was reached by reading, never by a seek, and only after
        `delivered` was called for every record read on the way.
        """
        if position > self._position:
            self._fill(self._position, position)
            self._position = position
            self._advance()

    def done(self, offset: int) -> None:
        """Everything that had to come of this offset is committed. Again is harmless."""
        self.confirm((offset,))

    def confirm(self, offsets: Iterable[int]) -> None:
        """Mark offsets done, once the transaction that carried their results has committed."""
        bits, origin, base, position = self._bits, self._origin, self._base, self._position
        for offset in offsets:
            if offset >= position:
                raise NotDeliveredError(f"offset {offset} was not delivered; we are at {position}")
            if offset < base:
                continue
            at = offset - origin
            if at >> 3 >= len(bits):
                bits.extend(bytes((at >> 3) + 64 - len(bits)))
            bits[at >> 3] |= 1 << (at & 7)
            if offset >= self._high:
                self._high = offset + 1
        self._advance()

    def preview(self, offsets: Iterable[int] = ()) -> tuple[int, str]:
        """Base and metadata of a commit that also finishes `offsets`, without taking note of it.

        For a transaction in progress: `confirm` the same offsets when it committed; do nothing when
        it was rolled back. With two producers in turn, ask for the second's preview only after the
        first's commit has returned and was confirmed: it would not know of it.

        Raises `bitmap.WindowFullError` (hold back the highest offsets) and `NotDeliveredError`.
        """
        base, position = self._base, self._position
        first = (base - self._origin) >> 3
        origin = self._origin + (first << 3)
        window = self._bits[first : ((self._high - self._origin) >> 3) + 1]
        for offset in offsets:
            if offset >= position:
                raise NotDeliveredError(f"offset {offset} was not delivered; we are at {position}")
            if offset < base:
                continue
            at = offset - origin
            if at >> 3 >= len(window):
                window.extend(bytes((at >> 3) + 1 - len(window)))
            window[at >> 3] |= 1 << (at & 7)
        bits = int.from_bytes(window, "little") >> (base - origin)
        ready = (~bits & (bits + 1)).bit_length() - 1  # done ones right at the base
        return base + ready, bitmap.encode(base + ready, bits >> ready)

    def commit(self) -> tuple[int, str]:
        """Base and metadata of what is done now."""
        return self.preview()

    def restore(self, base: int, metadata: str) -> Restored:
        """Start again from a commit: at its base, with what its metadata says is done past it.

        Undecodable metadata means that nothing past the base is done: work is repeated rather than
        lost. The answer says so, for a warning and a counter.
        """
        self._position = base
        self._start(base)
        try:
            bits = bitmap.decode(base, metadata)
        except bitmap.UndecodableMetadataError as error:
            return Restored(problem=str(error))
        if not bits:
            return Restored()
        shift = base - self._origin
        size = (bits.bit_length() + shift) // 8 + 8
        self._bits = bytearray((bits << shift).to_bytes(size, "little"))
        self._high = base + bits.bit_length()
        digits = bin(bits)[:1:-1]
        return Restored(frozenset(base + i for i, digit in enumerate(digits) if digit == "1"))

    def _fill(self, start: int, stop: int) -> None:
        """Mark all of [start, stop) done."""
        if start <= self._base and stop >= self._high:
            self._start(stop)  # no bit needs to be written
            return
        first, last = start - self._origin, stop - self._origin
        bits = self._bits
        if last >> 3 >= len(bits):
            bits.extend(bytes((last >> 3) + 64 - len(bits)))
        while first < last and first & 7:
            bits[first >> 3] |= 1 << (first & 7)
            first += 1
        whole = (last - first) >> 3
        if whole > 0:
            bits[first >> 3 : (first >> 3) + whole] = b"\xff" * whole
            first += whole << 3
        while first < last:
            bits[first >> 3] |= 1 << (first & 7)
            first += 1
        self._high = max(self._high, stop)

    def _advance(self) -> None:
        """Move the base over what is done at it."""
        bits, origin, high = self._bits, self._origin, self._high
        at, top = self._base - origin, high - origin
        while at < top:
            byte = bits[at >> 3]
            if byte == _ALL_DONE:  # bits past `top` are never set
                at = (at | 7) + 1
            elif byte >> (at & 7) & 1:
                at += 1
            else:
                break
        self._base = origin + at
        self._position = max(self._position, self._base)
        if at >> 3 > _TRIM_BYTES:
            del bits[: at >> 3]
            self._origin = origin + (at >> 3 << 3)
