"""Answers too large for a record lie in a store, and the completion says where."""

import hashlib
import os
import time
from pathlib import Path

import orjson
import pytest

from broker.records.completion import decode_completion
from broker.records.errors import UsageError
from broker.settings.sections import StoreSettings
from broker.store import objects
from broker.store.claims import ClaimStore
from tests.workers import local_provider as says
from tests.workers.building import bench, job, on_loop
from workers.ends import Finish
from workers.ticket import Ticket

LONG = "Because of Rayleigh, é. " * 2_000


def asked(store: str, text: str = LONG, most: int = 20_000) -> tuple[Finish, str]:
    async def main() -> tuple[Finish, str]:
        async with says.local_provider() as provider:
            provider.reply = says.good(text)
            made = bench(provider.url, store=store, max_record_bytes=most)
            ticket = Ticket.ask(made.breaker, time.time())
            assert ticket is not None
            end = await made.attempts.run(job(), ticket)
            await made.attempts.client.close()
            assert isinstance(end, Finish)
            return end, made.journal.of("ended")[0].outcome or ""

    return on_loop(main())


def test_a_large_answer_lies_in_the_folder_with_its_size_and_checksum(tmp_path: Path) -> None:
    end, outcome = asked(f"file://{tmp_path}/store")
    done = decode_completion(end.value)
    assert len(end.value) < 20_000
    assert (done.status, done.text, done.body, outcome) == ("succeeded", None, None, "ok")
    assert done.data is not None
    data = Path(done.data.url.removeprefix("file://")).read_bytes()
    assert len(data) == done.data.size
    assert hashlib.sha256(data).hexdigest() == done.data.sha256
    body = orjson.loads(data)
    assert body["choices"][0]["message"]["content"] == LONG


def test_without_a_store_it_lies_in_the_users_data() -> None:
    end, _ = asked("")
    assert end.completion.data is not None
    folder = Path(os.environ["XDG_DATA_HOME"])
    assert end.completion.data.url.startswith(folder.as_uri())
    assert Path(end.completion.data.url.removeprefix("file://")).is_file()


def test_the_same_answer_twice_is_one_file(tmp_path: Path) -> None:
    first, _ = asked(f"file://{tmp_path}/store")
    second, _ = asked(f"file://{tmp_path}/store")
    assert first.completion.data == second.completion.data
    assert len(list((tmp_path / "store").rglob("*.json"))) == 1


def test_an_answer_that_fits_is_not_stored(tmp_path: Path) -> None:
    end, _ = asked(f"file://{tmp_path}/store", "Short.")
    assert (end.completion.text, end.completion.data) == ("Short.", None)
    assert not (tmp_path / "store").exists()


def test_a_store_that_takes_nothing_ends_the_prompt_as_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "_FIRST_PAUSE_S", 0.001)
    store = tmp_path / "store"
    store.mkdir()
    # A file in the place of the folder: also root cannot write there.
    (store / "cluster").write_bytes(b"")
    end, outcome = asked(f"file://{store}")
    done = decode_completion(end.value)
    assert (done.status, done.text, outcome) == ("failed", None, "ok")
    assert done.error is not None
    assert (done.error.type, done.error.code) == ("internal", "store_unavailable")
    assert done.calls == 1


def test_a_store_that_cannot_be_opened_is_a_mistake_in_the_settings(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for url in (f"file://{tmp_path}/file/store", "nowhere://x"):
        with pytest.raises(UsageError, match="store for large answers"):
            ClaimStore(StoreSettings(url=url), "c/t")
