"""Which prompts a cloud has seen of late, for the tokens that it bills as cached."""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

LEAST_TOKENS: Final = 1_024
"""Shorter prompts are not cached (OpenAI's guide to prompt caching)."""
STEP: Final = 128
"""Tokens are cached in multiples of this."""
REMEMBERED: Final = 10_000
_BEGINNING: Final = 4 * LEAST_TOKENS
"""Characters that make up about as many tokens as are cached at least."""


class PromptCache:
    """Of one event loop; remembers digests, not prompts."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def cached(self, texts: Sequence[str], tokens: int) -> int:
        """Tokens of this prompt that were there already; it is there from now on."""
        if tokens < LEAST_TOKENS:
            return 0
        whole = "\x1f".join(texts)
        # Both are looked up, and so remembered, in any case.
        all_of_it = self._look_up(whole)
        beginning = self._look_up(whole[:_BEGINNING])
        if all_of_it:
            return tokens // STEP * STEP
        return LEAST_TOKENS if beginning else 0

    def _look_up(self, text: str) -> bool:
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        known = digest in self._seen
        self._seen[digest] = None
        self._seen.move_to_end(digest)
        if len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        return known
