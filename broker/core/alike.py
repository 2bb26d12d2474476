"""Which questions are alike, so that their answers may be as long. Pure.

Those whose inputs are within a third of an octave, and that both name a maximum of their own within
the same octave, or none. On the Azure traces of 2023 the input's length takes the loss at the used
quantile from 38 to 16 tokens; thirds beat halves and whole octaves, and quarters won nothing more.
The maximum is not in those traces: an application names it by what it expects, and answers that
were bounded say little of those that were not.
"""

import math
from typing import Final

_PER_OCTAVE: Final = 3
_WHATEVER: Final = 55
"""In place of a size: of whatever size. Inputs beyond some 300,000 tokens are of one size."""
_SIZES: Final = _WHATEVER + 1
_LARGEST_MAXIMUM: Final = 17


def groups_of(input_tokens: int, own_maximum: int | None) -> tuple[int, int]:
    """Numbers (below 1,024) of the questions like this one, and of those of whatever input."""
    maximum = 0 if own_maximum is None else min(_LARGEST_MAXIMUM, own_maximum.bit_length())
    return maximum * _SIZES + _size(input_tokens), maximum * _SIZES + _WHATEVER


def inputs_like(input_tokens: int) -> tuple[int, int]:
    """The least and the most input tokens of questions like one with so many."""
    size = _size(input_tokens)
    least = math.ceil(2.0 ** (size / _PER_OCTAVE)) - 1
    return least, max(least, math.ceil(2.0 ** ((size + 1) / _PER_OCTAVE)) - 2)


def _size(input_tokens: int) -> int:
    size = int(_PER_OCTAVE * math.log2(input_tokens + 1)) if input_tokens > 0 else 0
    return size if size < _WHATEVER else _WHATEVER - 1
