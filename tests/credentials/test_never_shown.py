"""A key or token in use is in no log, error, record or traceback, whatever goes wrong with it."""

import logging
import time
from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from broker.records.calls import encode_call
from broker.settings import load_settings
from broker.settings.secrets import MASK
from broker.telemetry.logs import configure_logs
from broker.telemetry.safe_traceback import traceback_without_values
from tests.workers import local_provider as says
from tests.workers.building import LIMITS, MODEL, bench, job, on_loop
from workers.calling import ProviderClient
from workers.credential_tokens import RefreshedToken
from workers.credentials import Credential, CredentialError, credential_for, without_key
from workers.ends import Finish, Move
from workers.providers.dialect import ErrorReply
from workers.providers.openai import OpenAI
from workers.providers.token_source import Token
from workers.ticket import Ticket

MARKER = "sk-key-marker-0123456789"
PROVIDER: Mapping[str, Any] = {"models": {MODEL: "m"}, "api_key": MARKER}


class Tokens:
    """One token, then none."""

    def __init__(self) -> None:
        self._count = 0

    def fetch(self, *, anew: bool) -> Token:
        self._count += 1
        if self._count > 1:
            raise ValueError(f"{MARKER} {anew}")
        return Token(MARKER, time.time() + 3_600)


def settings() -> Any:
    return load_settings(providers={"azure": PROVIDER})


def a_key() -> Credential:
    given = settings().provider("azure")
    return credential_for(given, OpenAI(given), "azure")


@pytest.mark.parametrize("made", [a_key, lambda: RefreshedToken(Tokens(), "azure")])
@pytest.mark.parametrize(
    ("status", "code"), [(401, "invalid_api_key"), (403, None), (400, None), (500, None)]
)
def test_a_provider_that_quotes_it(
    made: Any, status: int, code: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("debug", "json")
    logging.getLogger("asyncio").setLevel(logging.INFO)
    body = {"error": {"message": f"Incorrect key {MARKER}!", "code": code, "type": "x"}}
    shown: list[str] = []

    async def main() -> None:
        async with says.local_provider() as provider:
            provider.reply = says.bytes_of(orjson.dumps(body), status)
            worker = bench(provider.url)
            credential = made()
            client = ProviderClient(
                base_url=provider.url,
                adapter=OpenAI(settings().provider("azure")),
                limits=LIMITS,
                credential=credential,
                models=settings().provider("azure").models,
                trace_headers=True,
            )
            await worker.attempts.client.close()
            object.__setattr__(worker.attempts, "client", client)
            given = job()
            for _ in range(3):
                ticket = Ticket.ask(worker.breaker, time.time())
                assert ticket is not None
                end = await worker.attempts.run(given, ticket)
                shown.extend((repr(end), repr(given), repr(credential)))
                if isinstance(end, Finish):
                    shown.append(end.value.decode())
                if isinstance(end, Move):
                    shown.append(end.to.sentence)
            shown.extend(encode_call(event).decode() for event in worker.journal.events)
            prepared = await client.prepare(given.work)
            shown.append(repr(prepared))
            await client.close()

    on_loop(main())
    shown.append(capsys.readouterr().err)
    assert not [text for text in shown if MARKER in text]


def test_what_is_no_secret_stays_in_the_provider_s_sentence() -> None:
    told = "Project billed has no quota for tok-1."
    error = ErrorReply(status=403, kind="x", code=None, message=told)
    credential = {"Authorization": "Bearer tok-1", "x-goog-user-project": "billed"}
    assert without_key(error, credential) == f"Project billed has no quota for {MASK}."


def test_a_traceback_has_only_frames_and_types() -> None:
    async def main() -> CredentialError:
        credential = RefreshedToken(Tokens(), "azure")
        await credential.headers()
        credential._token = None  # noqa: SLF001 - as if it had expired
        credential._not_before = 0.0  # noqa: SLF001 - as if it were later
        with pytest.raises(CredentialError) as told:
            await credential.headers()
        await credential.close()
        return told.value

    error = on_loop(main())
    assert MARKER not in f"{error} {traceback_without_values(error)}"


def test_settings_with_a_key_are_shown_without_it() -> None:
    given = settings()
    assert MARKER not in f"{given} {given!r} {given.masked()} {given.provider('azure')!r}"
