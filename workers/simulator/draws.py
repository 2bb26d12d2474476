"""Chance that can be repeated: it hangs on a seed and on names, not on the order of calls."""

import hashlib
import struct
from statistics import NormalDist
from typing import Final

COUNT: Final = 8
"""Numbers in one draw."""

_UNPACK: Final = struct.Struct(f"<{COUNT}Q").unpack
_SCALE: Final = 2.0**-64
_SMALLEST: Final = 2.0**-53
_LARGEST: Final = 1.0 - _SMALLEST
_NORMAL: Final = NormalDist()


def draw(*names: object) -> tuple[float, ...]:
    """COUNT independent numbers above 0 and below 1, always the same for the same names."""
    key = "\x1f".join(map(str, names)).encode("utf-8", "surrogatepass")
    words = _UNPACK(hashlib.blake2b(key, digest_size=8 * COUNT).digest())
    numbers = [word * _SCALE for word in words]
    if min(numbers) >= _SMALLEST and max(numbers) <= _LARGEST:
        return tuple(numbers)
    return tuple(min(max(number, _SMALLEST), _LARGEST) for number in numbers)


def normal(number: float) -> float:
    """The standard normal deviate at this quantile (a number of `draw`)."""
    return _NORMAL.inv_cdf(number)
