"""How many tokens the input of a prompt has: counted, or estimated where that takes too long."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Literal

from broker.core.token_estimate import estimate_tokens

ENCODING: Final = "o200k_base"
"""OpenAI's current vocabulary; the other providers' differ from it by some percent."""

How = Literal["counted", "estimated"]
CountTokens = Callable[[Sequence[str]], tuple[int, How]]
"""Tokens of the texts of one prompt, and how they were found out."""

_UTF8_MOST: Final = 4


def token_counter(count_up_to_bytes: int) -> CountTokens:
    """Load the vocabulary (50 ms, once) and return the counter.

    Texts that together are longer than `count_up_to_bytes` (UTF-8) are estimated, in about 0.3 ms
    whatever their length, so that no prompt can hold up the event loop.
    """
    from splintr import Tokenizer  # noqa: PLC0415 - some megabytes, only this process needs them

    encode: Callable[[str], Sequence[Any]] = Tokenizer.from_pretrained(ENCODING).encode_ordinary

    def count(texts: Sequence[str]) -> tuple[int, How]:
        if _longer_than(texts, count_up_to_bytes):
            return sum(map(estimate_tokens, texts)), "estimated"
        try:
            return sum(len(encode(text)) for text in texts), "counted"
        except UnicodeEncodeError:  # half of a surrogate pair: no text, but weighing never fails
            return sum(map(estimate_tokens, texts)), "estimated"

    return count


def _longer_than(texts: Sequence[str], limit: int) -> bool:
    characters = sum(map(len, texts))
    if characters > limit:
        return True
    if characters * _UTF8_MOST <= limit:
        return False
    return sum(len(text.encode("utf-8", "replace")) for text in texts) > limit
