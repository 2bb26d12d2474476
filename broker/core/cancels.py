"""Which prompts were cancelled, as far as a process remembers: bounded in number and in time.

A cancel means the prompt that had been accepted when it was asked. An id may be used again once
dedupe has forgotten it, and what is accepted under it later is another prompt, which no old cancel
ends. Both times are the broker's, so that no clock but its own decides.
"""

from typing import Final

KEEP_S: Final = 86_400.0
"""A cancel is remembered for a day: as long as its topic has it."""
MOST: Final = 100_000
"""Cancels remembered at once, in about 25 MB. Beyond it the oldest is forgotten first: what it
should have ended, and nobody has met yet, is then done as if nobody had asked."""
SKEW_S: Final = 1.0
"""So much may the clocks of two brokers differ: one has the prompt, the other the cancel."""


class Cancels:
    """One thread notes; any thread may ask."""

    def __init__(self, most: int = MOST, keep_s: float = KEEP_S) -> None:
        self._most = most
        self._keep_s = keep_s
        self._at: dict[str, float] = {}
        self.forgotten = 0
        """Cancels that were forgotten before their time, for want of room."""

    def __len__(self) -> int:
        return len(self._at)

    def note(self, prompt_id: str, at: float) -> None:
        """A cancel was written at `at` (unix seconds)."""
        known = self._at.pop(prompt_id, at)  # the newest stands last
        self._at[prompt_id] = max(known, at)
        while len(self._at) > 1:
            oldest, since = next(iter(self._at.items()))
            if since < at - self._keep_s:
                del self._at[oldest]
            elif len(self._at) > self._most:
                del self._at[oldest]
                self.forgotten += 1
            else:
                return

    def covers(self, prompt_id: str, accepted_at: float) -> bool:
        """Whether the prompt with this id that was accepted at this time was cancelled."""
        at = self._at.get(prompt_id)
        return at is not None and accepted_at <= at + SKEW_S
