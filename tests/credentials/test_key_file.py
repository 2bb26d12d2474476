"""A key in a file: rotated under a running worker, missing, empty, or hanging storage."""

import asyncio
import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from broker.records.errors import UsageError
from broker.settings.providers import ProviderSettings, ServedModel
from broker.telemetry.logs import configure_logs
from broker.telemetry.safe_traceback import traceback_without_values
from tests.workers import local_provider as says
from tests.workers.building import LIMITS, MODEL, on_loop, work
from workers import credential_file
from workers.calling import ProviderClient
from workers.credentials import Credential, credential_for
from workers.providers.openai import OpenAI

MARKER = "sk-key-marker"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential_file, "LOOK_EVERY_S", 0.02)


def credential(**given: Any) -> Credential:
    provider = ProviderSettings(**given)
    return credential_for(provider, OpenAI(provider), "cloud")


def replaced(file: Path, text: str) -> None:
    """As a secret's volume does it: another file under the same name."""
    other = file.with_suffix(".new")
    other.write_text(text)
    other.replace(file)


async def key_of(made: Credential) -> str:
    return (await made.headers())["Authorization"].removeprefix("Bearer ")


async def until_key(made: Credential, wanted: str) -> None:
    ends = time.monotonic() + 20
    while await key_of(made) != wanted:
        assert time.monotonic() < ends, "not in time"
        await asyncio.sleep(0.01)


def test_a_key_that_was_replaced_is_used_from_then_on(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(f"{MARKER}-1\n")

    async def main() -> None:
        made = credential(api_key=f"file:{file}")
        assert await key_of(made) == f"{MARKER}-1"
        replaced(file, f"{MARKER}-2\n")
        await until_key(made, f"{MARKER}-2")
        file.write_text(f"{MARKER}-three")
        await until_key(made, f"{MARKER}-three")
        await made.close()

    on_loop(main())


def test_a_file_that_is_lost_or_empty_keeps_the_key_and_is_told_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configure_logs("info", "json")
    file = tmp_path / "key"
    file.write_text(f"{MARKER}-1")

    async def main() -> None:
        made = credential(api_key=f"file:{file}")
        for harm in (file.unlink, lambda: file.write_text(""), lambda: file.write_bytes(b"\xff")):
            harm()
            for _ in range(10):
                assert await key_of(made) == f"{MARKER}-1"
                await asyncio.sleep(0.02)
        replaced(file, f"{MARKER}-2")
        await until_key(made, f"{MARKER}-2")
        await made.close()

    on_loop(main())
    told = capsys.readouterr().err
    lines = [json.loads(line) for line in told.splitlines()]
    assert [line["event"] for line in lines] == ["key_file_unusable", "key_file_read"]
    assert lines[0]["file"] == str(file)
    assert MARKER not in told


def test_a_refusal_makes_it_look_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(credential_file, "LOOK_EVERY_S", 3_600.0)
    file = tmp_path / "key"
    file.write_text(f"{MARKER}-1")

    async def main() -> None:
        made = credential(api_key=f"file:{file}")
        replaced(file, f"{MARKER}-2")
        assert await key_of(made) == f"{MARKER}-1"
        made.rejected()
        assert await key_of(made) == f"{MARKER}-2"
        await made.close()

    on_loop(main())


def test_storage_that_hangs_holds_a_call_for_a_moment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe without a writer stands for it: who opens it waits."""
    monkeypatch.setattr(credential_file, "LOOK_S", 0.1)
    file = tmp_path / "key"
    file.write_text(MARKER)

    async def main() -> None:
        made = credential(api_key=f"file:{file}")
        file.unlink()
        os.mkfifo(file)
        for _ in range(5):
            assert await key_of(made) == MARKER
            await asyncio.sleep(0.03)
        names = [thread.name for thread in threading.enumerate()]
        assert names.count("key-cloud") == 1
        file.write_text(f"{MARKER}-2")
        replaced(file, f"{MARKER}-2")
        await until_key(made, f"{MARKER}-2")
        await made.close()

    on_loop(main())


@pytest.mark.parametrize("text", ["", " \n", "a\nb", "sk-\x00key-marker", "ключ"])
def test_what_is_no_key_stops_a_worker_at_its_start_unquoted(text: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(text)
    given: dict[str, Any] = {"api_key": f"file:{file}"}
    with pytest.raises(UsageError) as told:
        credential(**given)
    assert "key-marker" not in traceback_without_values(told.value)


def test_a_plain_key_and_none() -> None:
    async def main() -> None:
        assert await credential(api_key=MARKER).headers() == {"Authorization": f"Bearer {MARKER}"}
        assert await credential(api_key=MARKER, auth="none").headers() == {}
        assert await credential().headers() == {}

    on_loop(main())


def test_a_401_lets_the_next_call_have_the_new_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credential_file, "LOOK_EVERY_S", 3_600.0)
    file, seen = tmp_path / "key", []
    file.write_text(f"{MARKER}-1")

    async def reply(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers["Authorization"])
        answer = says.good() if seen[-1].endswith("-2") else says.error(401, "invalid_api_key")
        return await answer(request)

    async def main() -> None:
        async with says.local_provider() as provider:
            provider.reply = reply
            client = ProviderClient(
                base_url=provider.url,
                adapter=OpenAI(ProviderSettings()),
                limits=LIMITS,
                credential=credential(api_key=f"file:{file}"),
                models={MODEL: ServedModel(name="m")},
                trace_headers=True,
            )
            replaced(file, f"{MARKER}-2")
            results = [await client.call(await client.prepare(work()), n) for n in (1, 2)]
            await client.close()
            assert [result.status for result in results] == [401, 200]

    on_loop(main())
    assert seen == [f"Bearer {MARKER}-1", f"Bearer {MARKER}-2"]
