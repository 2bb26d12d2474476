"""Tokens over time: fetched before they expire, kept while they live, never fetched in a storm."""

import asyncio
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from broker.settings.providers import ProviderSettings, ServedModel
from broker.telemetry.logs import configure_logs
from tests.workers.building import LIMITS, MODEL, bench, job, on_loop, until
from workers import credential_tokens
from workers.calling import ProviderClient
from workers.credential_tokens import RefreshedToken
from workers.ends import Move
from workers.providers.openai import OpenAI
from workers.providers.token_source import CredentialError, Token
from workers.ticket import Ticket

MARKER = "token-marker"
AWAY = "The token service is away."


@dataclass
class Source:
    """Tokens that live so long; or what it raises instead. `anew` notes how it was asked."""

    lifetime_s: float = 3_600.0
    error: Exception | None = None
    anew: list[bool] = field(default_factory=list)
    held: threading.Event | None = None

    def fetch(self, *, anew: bool) -> Token:
        self.anew.append(anew)
        number = len(self.anew)
        if self.held is not None:
            assert self.held.wait(30)
        if self.error is not None:
            raise self.error
        return Token(f"{MARKER}-{number}", time.time() + self.lifetime_s)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of a test, not of a day."""
    monkeypatch.setattr(credential_tokens, "APART_S", 0.05)
    monkeypatch.setattr(credential_tokens, "PAUSE_S", 0.05)
    monkeypatch.setattr(credential_tokens, "LONGEST_PAUSE_S", 0.1)
    monkeypatch.setattr(credential_tokens, "EARLY_SHARE", 0.9)


async def bearer(credential: RefreshedToken) -> str:
    return (await credential.headers())["Authorization"].removeprefix("Bearer ")


async def until_one_comes(credential: RefreshedToken) -> None:
    ends = time.monotonic() + 20
    while True:
        try:
            await credential.headers()
        except CredentialError:
            assert time.monotonic() < ends, "not in time"
            await asyncio.sleep(0.01)
        else:
            return


async def until_none_is_left(credential: RefreshedToken) -> None:
    """The token that is there is given until then, and no other."""
    ends = time.monotonic() + 20
    while time.monotonic() < ends:
        try:
            assert await bearer(credential) == f"{MARKER}-1"
        except CredentialError as error:
            assert error.message == AWAY  # noqa: PT017 - it comes at some time, not at once
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not in time")


async def until_bearer(credential: RefreshedToken, good: Callable[[str], bool]) -> None:
    ends = time.monotonic() + 20
    while not good(await bearer(credential)):
        assert time.monotonic() < ends, "not in time"
        await asyncio.sleep(0.01)


def test_many_calls_at_once_ask_for_one_token() -> None:
    source = Source()

    async def main() -> None:
        credential = RefreshedToken(source, "cloud")
        assert set(await asyncio.gather(*[bearer(credential) for _ in range(50)])) == {
            f"{MARKER}-1"
        }
        await credential.close()

    on_loop(main())
    assert source.anew == [False]


def test_a_token_is_renewed_before_its_end_without_a_call_that_waits() -> None:
    source = Source(lifetime_s=20.0)

    async def main() -> None:
        credential = RefreshedToken(source, "cloud")
        first = await bearer(credential)
        expires = time.time() + 20.0
        source.lifetime_s = 3_600.0
        await until(lambda: len(source.anew) > 1)
        assert time.time() < expires
        await until_bearer(credential, lambda token: token != first)
        await credential.close()

    on_loop(main())


def test_a_failed_renewal_keeps_the_old_token_while_it_lives_and_says_so_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    configure_logs("info", "json")
    source, failures = Source(lifetime_s=3.0), []

    async def main() -> None:
        credential = RefreshedToken(source, "cloud", lambda: failures.append(1))
        expires = time.time() + 3.0
        assert await bearer(credential) == f"{MARKER}-1"
        source.error = CredentialError(AWAY)
        await until_none_is_left(credential)
        assert time.time() >= expires
        assert len(failures) > 1
        source.error = None
        await until_one_comes(credential)
        await credential.close()

    on_loop(main())
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["event"] for line in told] == ["credential_not_renewed", "credential_renewed"]
    assert told[0]["reason"] == AWAY
    assert MARKER not in json.dumps(told)


def test_without_a_token_calls_do_not_wait_for_one_try_each() -> None:
    source = Source(error=CredentialError("No."))

    async def main() -> None:
        credential = RefreshedToken(source, "cloud")
        for _ in range(200):
            with pytest.raises(CredentialError, match="No"):
                await credential.headers()
        await credential.close()

    on_loop(main())
    assert len(source.anew) < 50


def test_a_refused_token_is_replaced_by_one_that_is_not_remembered() -> None:
    source = Source()

    async def main() -> None:
        credential = RefreshedToken(source, "cloud")
        first = await bearer(credential)
        credential.rejected()
        await until_bearer(credential, lambda token: token != first)
        await credential.close()

    on_loop(main())
    assert source.anew == [False, True]


def test_a_storm_of_refusals_is_not_one_of_fetches() -> None:
    source = Source()

    async def main() -> None:
        credential = RefreshedToken(source, "cloud")
        for _ in range(500):
            await credential.headers()
            credential.rejected()
        await credential.close()

    on_loop(main())
    assert len(source.anew) < 50


def test_a_service_that_hangs_holds_nobody_and_has_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(credential_tokens, "FETCH_S", 0.2)
    monkeypatch.setattr(credential_tokens, "WAIT_S", 0.1)
    source = Source(held=threading.Event())

    async def main() -> None:
        credential = RefreshedToken(source, "hanging")
        ends = time.monotonic() + 1.0
        while time.monotonic() < ends:
            with pytest.raises(CredentialError):
                await credential.headers()
            await asyncio.sleep(0.02)
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("token-hanging") == 1
        assert source.held is not None
        source.held.set()
        await until(lambda: "token-hanging" not in [t.name for t in threading.enumerate()])
        source.held = None
        await until_one_comes(credential)
        await credential.close()

    on_loop(main())


def test_the_words_of_a_foreign_error_are_not_told() -> None:
    async def main() -> None:
        credential = RefreshedToken(Source(error=RuntimeError(MARKER)), "cloud")
        with pytest.raises(CredentialError) as told:
            await credential.headers()
        assert "RuntimeError" in told.value.message
        assert MARKER not in f"{told.value} {told.value.__cause__} {told.value.__context__}"
        await credential.close()

    on_loop(main())


def test_a_token_that_comes_expired_is_none() -> None:
    async def main() -> None:
        credential = RefreshedToken(Source(lifetime_s=-5), "cloud")
        with pytest.raises(CredentialError, match="expired"):
            await credential.headers()
        await credential.close()

    on_loop(main())


def test_work_without_a_token_goes_to_another_provider_uncalled() -> None:
    source = Source(error=CredentialError(AWAY))

    async def main() -> None:
        worker = bench("http://127.0.0.1:9")
        await worker.attempts.client.close()
        credential = RefreshedToken(source, "azure")
        client = ProviderClient(
            base_url="http://127.0.0.1:9",
            adapter=OpenAI(ProviderSettings()),
            limits=LIMITS,
            credential=credential,
            models={MODEL: ServedModel(name="m")},
            trace_headers=False,
        )
        object.__setattr__(worker.attempts, "client", client)
        ticket = Ticket.ask(worker.breaker, time.time())
        assert ticket is not None
        end = await worker.attempts.run(job(), ticket)
        await client.close()
        assert isinstance(end, Move)
        assert end.to.provider == "google"
        assert "has no valid credential" in end.to.sentence
        assert worker.journal.events == []

    on_loop(main())
