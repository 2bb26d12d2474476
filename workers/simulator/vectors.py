"""Embeddings: directions that hang on the text alone. Pure."""

import hashlib
import math
import struct
from array import array

_BYTES = 4


def embedding(text: str, dimensions: int) -> "array[float]":
    """A vector of length 1, always the same for a text, as 32-bit floats.

    A shorter one is the beginning of a longer one, made longer to be of length 1 again.
    """
    data = text.encode("utf-8", "surrogatepass")
    digest = hashlib.shake_256(data).digest(dimensions * _BYTES)
    numbers = struct.unpack(f"<{dimensions}i", digest)
    length = math.sqrt(sum(number * number for number in numbers)) or 1.0
    return array("f", [number / length for number in numbers])
