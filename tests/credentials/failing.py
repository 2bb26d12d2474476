"""An identity service that fails after its first token, and what the calls then carry."""

import time

import pytest

from tests.credentials.token_server import MARKER, SECRET, TokenServer
from workers.credential_tokens import APART_S, RefreshedToken
from workers.providers.token_source import CredentialError, TokenSource


async def keeps_the_old_one(
    source: TokenSource, server: TokenServer, *, remembers_refusals: bool = False
) -> None:
    """Whether a failed renewal keeps the token while it lives, and a well service mends it.

    `remembers_refusals`: the library asks nothing more for a minute, of a clock that is not ours.
    """
    passed, failures = 0.0, []
    credential = RefreshedToken(
        source, "cloud", lambda: failures.append(1), lambda: time.time() + passed
    )
    try:
        old = {"Authorization": f"Bearer {MARKER}-1"}
        assert await credential.headers() == old
        server.status = 400
        passed += 2 * APART_S
        # As after a 401: a new one is asked for at once.
        credential.rejected()
        assert await credential.headers() == old
        assert len(failures) == 1
        asked = len(server.asked)
        assert asked > 1, "nothing was asked for a new token"
        passed += server.lifetime_s
        with pytest.raises(CredentialError) as told:
            await credential.headers()
        assert SECRET not in f"{told.value} {told.value.__cause__}"
        if remembers_refusals:
            return
        server.status = 200
        passed += 2 * APART_S
        server.lifetime_s *= 3
        assert await credential.headers() == {"Authorization": f"Bearer {server.token}"}
    finally:
        await credential.close()
