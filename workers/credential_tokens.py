"""Tokens that expire: fetched in a thread before they do, kept while they live when that fails."""

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from typing import Final

from broker.telemetry.logs import get_logger
from workers.providers.token_source import CredentialError, Token, TokenSource
from workers.thread_answer import ThreadAnswer

FETCH_S: Final = 30.0
"""Longest time for a token, over everything that a source tries."""
WAIT_S: Final = 10.0
"""A call without a token waits so long for one, and goes to another provider then."""
EARLY_S: Final = 300.0
EARLY_SHARE: Final = 0.1
"""A token is renewed so long before its end, or in this last share of its life if that is less."""
APART_S: Final = 10.0
"""Least time between two tokens: some services give the same one until its last minutes."""
PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
"""Pauses after failures double from one to the other."""


class RefreshedToken:
    """A credential made of tokens. Used on the event loop, which it never blocks.

    `name` is the provider's, for the log; `failed` is told of each fetch that failed.
    """

    def __init__(
        self,
        source: TokenSource,
        name: str,
        failed: Callable[[], None] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._source = source
        self._name = name
        self._failed = failed or (lambda: None)
        self._clock = clock
        self._thread: ThreadAnswer[Token] = ThreadAnswer(f"token-{name}")
        self._token: Token | None = None
        self._headers: dict[str, str] = {}
        self._fetching: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._not_before = 0.0
        self._failures = 0
        self._error: CredentialError | None = None
        self._refused = False

    async def headers(self) -> Mapping[str, str]:
        """A living token's; waits only when there is none, or when the provider refused it."""
        now = self._clock()
        if self._token is None or now >= self._token.expires_at or self._refused:
            task = self._fetch(now)
            if task is not None:
                await asyncio.wait({task}, timeout=WAIT_S)
            if self._token is None or self._clock() >= self._token.expires_at:
                raise self._error or CredentialError(f"No token came within {WAIT_S:g} s.")
        return self._headers

    def rejected(self) -> None:
        """The provider did not take the token: the next call gets a new one, if there is one."""
        self._refused = self._token is not None

    async def close(self) -> None:
        """Fetch no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._fetching is not None:
            self._fetching.cancel()

    def _fetch(self, now: float) -> asyncio.Task[None] | None:
        """The fetch under way, a new one, or None while none may be."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        if now < self._not_before:
            return None
        self._fetching = asyncio.create_task(self._fetched(anew=self._refused))
        return self._fetching

    async def _fetched(self, *, anew: bool) -> None:
        try:
            token = await self._thread.ask(lambda: self._source.fetch(anew=anew), FETCH_S)
        except CredentialError as error:
            self._without(error)
        except TimeoutError:
            self._without(CredentialError(f"No token came within {FETCH_S:.0f} s."))
        except Exception as error:  # noqa: BLE001 - of a foreign library; its words may hold a secret
            told = f"No token could be fetched ({type(error).__name__})."
            self._without(CredentialError(told))
        else:
            self._with(token)

    def _with(self, token: Token) -> None:
        now = self._clock()
        if token.expires_at <= now:
            self._without(CredentialError("The token that came has expired already."))
            return
        if self._failures:
            get_logger().info("credential_renewed", provider=self._name, failures=self._failures)
        self._token = token
        self._headers = {"Authorization": f"Bearer {token.value}", **token.headers}
        self._failures, self._error, self._refused = 0, None, False
        self._not_before = now + APART_S
        left = token.expires_at - now
        self._again_in(max(APART_S, left - min(EARLY_S, EARLY_SHARE * left)), left)

    def _without(self, error: CredentialError) -> None:
        now = self._clock()
        self._failures += 1
        self._error = error
        self._refused = False
        self._failed()
        left = 0.0 if self._token is None else max(0.0, self._token.expires_at - now)
        if self._failures == 1:
            get_logger().warning(
                "credential_not_renewed",
                provider=self._name,
                reason=error.message,
                mend=error.mend,
                valid_for_s=round(left),
            )
        longest = min(LONGEST_PAUSE_S, PAUSE_S * 2.0 ** min(self._failures - 1, 16))
        pause = longest * random.uniform(0.5, 1.0)  # noqa: S311 - it spreads fetches, it guards nothing
        self._not_before = now + pause
        self._again_in(pause, pause)

    def _again_in(self, seconds: float, at_most: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        wait = min(seconds, at_most)
        self._timer = asyncio.get_running_loop().call_later(wait, self._again)

    def _again(self) -> None:
        # Nothing waits for it; what comes of it is kept in this object.
        self._fetch(max(self._clock(), self._not_before))
