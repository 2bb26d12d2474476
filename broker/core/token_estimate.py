"""About how many tokens a text has, in bounded time, without a vocabulary.

A tokenizer of OpenAI's kind splits a text into words (with the space before them), groups of up to
three digits, runs of punctuation and line ends, and then looks the pieces up. So counting where
such pieces begin, and the characters in them, says much: a linear rule over these counts, fitted
to o200k_base on 700 pieces of prose in 18 languages, code in four, JSON, CSV, base64 and hex. Nine
of ten pieces were within 12% for English, 13% for Python, Go and JSON, 20% for the rest.
"""

from typing import Final

SAMPLE_CHARACTERS: Final = 8192
"""Longer texts are judged by so many of their characters, in stretches spread over them."""

_STRETCHES: Final = 16
_CONTINUATION: Final = bytes(range(0x80, 0xC0))

_CLASSES: Final[tuple[tuple[bytes, bytes], ...]] = (
    (b"U", bytes(range(ord("A"), ord("Z") + 1))),
    (b"a", bytes(range(ord("a"), ord("z") + 1))),
    (b"d", b"0123456789"),
    (b"s", bytes(set(range(33)) - {10})),
    (b"n", b"\n"),
    (b"l", bytes(range(0xC0, 0xC8))),  # Latin with accents
    (b"t", bytes(range(0xC8, 0xE0))),  # Greek, Cyrillic, Hebrew, Arabic
    (b"o", b"\xe0\xe2\xee\xef"),  # Indic, punctuation of print, full-width forms
    (b"v", b"\xe1"),  # Vietnamese, Georgian
    (b"k", b"\xe3"),  # Kana
    (b"h", bytes(range(0xE4, 0xEA))),  # Han
    (b"g", bytes(range(0xEA, 0xEE))),  # Hangul
    (b"f", bytes(range(0xF0, 0x100))),  # emoji and rare scripts
)

_MILLITOKENS: Final[tuple[tuple[int, tuple[bytes, ...]], ...]] = (
    # Words begin after a space, a line's end, a sign or a digit, or at a capital inside.
    (769, (b"sa", b"sU", b"na", b"nU", b"pa", b"pU", b"da", b"dU")),
    (1300, (b"aU",)),
    (896, (b"sd", b"nd", b"pd", b"ad", b"Ud")),
    (424, (b"sl", b"st")),
    # Two signs, two line ends: they share a token. Indentation costs a little.
    (-700, (b"pp",)),
    (-900, (b"nn",)),
    (100, (b"ss",)),
    (243, (b"U",)),
    (68, (b"a",)),
    (300, (b"d", b"t", b"v")),
    (663, (b"p",)),
    (994, (b"n",)),
    (1218, (b"l",)),
    (513, (b"o",)),
    (714, (b"k", b"g")),
    (765, (b"h",)),
    (1500, (b"f",)),
)


def _classes() -> bytes:
    table = bytearray(b"p" * 256)
    for name, members in _CLASSES:
        for byte in members:
            table[byte] = ord(name)
    return bytes(table)


_TABLE: Final = _classes()


def estimate_tokens(text: str) -> int:
    """About how many tokens `text` has; 0 for the empty text. Takes at most about 0.3 ms."""
    if not text:
        return 0
    sample = _sample(text)
    # One byte for each character, named by its class.
    classes = sample.encode("utf-8", "replace").translate(_TABLE, _CONTINUATION)
    millitokens = sum(
        weight * sum(map(classes.count, patterns)) for weight, patterns in _MILLITOKENS
    )
    return max(1, round(millitokens * len(text) / (1000 * len(sample))))


def _sample(text: str) -> str:
    if len(text) <= SAMPLE_CHARACTERS:
        return text
    length = SAMPLE_CHARACTERS // _STRETCHES
    apart = (len(text) - length) / (_STRETCHES - 1)
    starts = (int(place * apart) for place in range(_STRETCHES))
    return "".join(text[start : start + length] for start in starts)
