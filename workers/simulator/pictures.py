"""Pictures: real PNG files of an asked size, full of noise. Pure."""

import struct
import zlib
from random import Random
from typing import Final

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_GREY: Final = 0
_FILLER: Final = b"noIz"
"""A private chunk that may be left out (its letters' cases say so: PNG, third edition, 5.4)."""


def picture(width: int, height: int, size: int, seed: float) -> bytes:
    """A black and white picture of so many pixels, in a file of about `size` bytes.

    Noise does not get smaller by being packed: as much of it as fits is pixels, one bit each, the
    rest a chunk that readers skip, so that a large picture costs no more time than a small one.
    """
    chance = Random(seed)  # noqa: S311 - the same call makes the same picture
    row = (width + 7) // 8
    noisy = min(height, size // (row + 1))
    lines = b"".join(b"\0" + chance.randbytes(row) for _ in range(noisy))
    pixels = zlib.compress(lines + bytes((row + 1) * (height - noisy)), 1)
    header = struct.pack(">IIBBBBB", width, height, 1, _GREY, 0, 0, 0)
    parts = [SIGNATURE, _chunk(b"IHDR", header), _chunk(b"IDAT", pixels)]
    left = size - sum(map(len, parts)) - 24
    if left > 0:
        parts.append(_chunk(_FILLER, chance.randbytes(left)))
    parts.append(_chunk(b"IEND", b""))
    return b"".join(parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
