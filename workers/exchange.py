"""How far one call is, which of its bounds comes next, and what it is called when it fails."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp

from broker.core.retries import Transport


@dataclass(frozen=True, slots=True)
class CallLimits:
    """Time-outs of one call, in seconds. `total` bounds the others together."""

    connect: float
    first_byte: float
    between_bytes: float
    total: float


class Exchange:
    """How far a call is, and which of its bounds comes next. Times are the event loop's."""

    def __init__(self, limits: CallLimits, deadline: float | None) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._ends = self._began + limits.total
        self._expires = None if deadline is None else self._began + deadline - time.time()
        self._bound = Transport.FIRST_BYTE_TIMEOUT
        self._deadline_next = False
        self.status: int | None = None
        self.headers: Mapping[str, str] | None = None
        self.first_token_s: float | None = None
        self.streaming = False
        self._last_token_s = 0.0

    def begin(self) -> float:
        """Until when the reply must have begun; connecting has a bound of its own."""
        return self._earliest(
            self._began + self._limits.connect + self._limits.first_byte,
            Transport.FIRST_BYTE_TIMEOUT,
        )

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """The head of the reply is here."""
        self.status = status
        self.headers = headers
        self.token()

    def token(self) -> None:
        """Some of the answer is here."""
        self._last_token_s = self._loop.time() - self._began
        if self.first_token_s is None:
            self.first_token_s = self._last_token_s

    def per_token_s(self, tokens: int | None) -> float | None:
        """The time of each token after the first; None when the answer came whole or as one."""
        if not self.streaming or self.first_token_s is None or tokens is None or tokens < 2:  # noqa: PLR2004 - one token has no time between
            return None
        return (self._last_token_s - self.first_token_s) / (tokens - 1)

    def next_bytes(self) -> float:
        """Until when the next bytes must be here."""
        if self.streaming and self.first_token_s is None:
            return self.begin()
        return self._earliest(
            self._loop.time() + self._limits.between_bytes, Transport.BETWEEN_BYTES_TIMEOUT
        )

    def failed_by(self, error: Exception) -> tuple[Transport, bool]:
        """The word for a failure without a whole reply, and whether the deadline was it."""
        # A loop's timers may fire a moment before their time, so the clock alone does not tell.
        ours = isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ServerTimeoutError)
        timed_out = ours and self._deadline_next
        if timed_out or (self._expires is not None and self._loop.time() >= self._expires):
            return Transport.TOTAL_TIMEOUT, True
        if isinstance(error, aiohttp.ServerTimeoutError | aiohttp.ClientConnectorError):
            return Transport.CONNECT, False
        if isinstance(error, TimeoutError):
            return self._bound, False
        if isinstance(error, aiohttp.ClientResponseError | aiohttp.InvalidURL):
            return Transport.MALFORMED, False
        return (Transport.STREAM_CUT if self.streaming else Transport.CUT), False

    def _earliest(self, at: float, bound: Transport) -> float:
        self._bound = bound if at < self._ends else Transport.TOTAL_TIMEOUT
        at = min(at, self._ends)
        self._deadline_next = self._expires is not None and self._expires <= at
        return at if self._expires is None else min(at, self._expires)


SENTENCES: Final[Mapping[Transport, str]] = {
    Transport.CONNECT: "The provider could not be reached.",
    Transport.FIRST_BYTE_TIMEOUT: "The provider did not begin to answer in time.",
    Transport.BETWEEN_BYTES_TIMEOUT: "The provider stopped in the middle of its answer.",
    Transport.TOTAL_TIMEOUT: "The provider did not finish its answer in time.",
    Transport.CUT: "The provider closed the connection before its answer was whole.",
    Transport.MALFORMED: "The provider's answer is not in the form it promises.",
    Transport.STREAM_CUT: "The provider's stream ended before its answer was whole.",
}
"""What each is to the prompt's sender."""
