"""`weighbridge send --out`: pictures become files, their bytes checked, or it is told why not."""

import asyncio
import base64
import struct
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from broker.cli.body_words import told
from broker.records.completion import Completion
from broker.records.data_refs import DataRef
from broker.settings import Settings
from broker.settings.sections import StoreSettings
from broker.store.claims import ClaimStore
from tests.cli.answering import answering
from tests.cli.running import run
from tests.story.seeding import completion_of, small

PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 3_000_000
JPEG = b"\xff\xd8\xff\xe0" + b"j" * 9


@pytest.fixture
def made(settings: Settings) -> Settings:
    return small(settings)


def put(folder: Path, data: bytes, media_type: str = "image/png") -> DataRef:
    store = ClaimStore(StoreSettings(url=folder.as_uri()), "c/t")
    return asyncio.run(store.put(data, media_type))


def pictured(identity: str, *refs: dict[str, Any], **given: Any) -> Completion:
    body = {"created": 1, "data": [{"revised_prompt": "x", **ref} for ref in refs]}
    return completion_of(identity, time.time(), kind="image", text=None, body=body, **given)


def send(made: Settings, store: Path, out: Path, answer: Any, *more: str, expect: int = 0) -> Any:
    with answering(made, answer):
        return run(
            made,
            *("send", "A sky.", "--id", "p:1", "--out", str(out), *more),
            expect=expect,
            WEIGHBRIDGE_STORE__URL=store.as_uri(),
        )


def test_pictures_are_saved_in_order_and_their_paths_printed(
    made: Settings, tmp_path: Path
) -> None:
    store, out = tmp_path / "store", tmp_path / "new" / "pictures"
    refs = [put(store, PNG).as_json(), put(store, JPEG).as_json()]
    ran = send(made, store, out, lambda name, _: pictured(name, *refs))
    assert ran.out.splitlines() == [f"{out}/p:1-1.png", f"{out}/p:1-2.jpg"]
    assert (out / "p:1-1.png").read_bytes() == PNG
    assert (out / "p:1-2.jpg").read_bytes() == JPEG
    assert len(list(out.iterdir())) == 2
    ran = send(made, store, out, lambda name, _: pictured(name, *refs), "--json")
    assert orjson.loads(ran.out)["body"]["data"][0]["dataref"] == refs[0]["dataref"]
    assert f"{out}/p:1-1.png" in ran.err


def test_a_large_answer_is_saved_and_a_text_is_printed_as_ever(
    made: Settings, tmp_path: Path
) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    whole = put(store, b'{"choices": []}', "application/json")
    ran = send(
        made, store, out, lambda name, _: completion_of(name, time.time(), text=None, data=whole)
    )
    assert ran.out == f"{out}/p:1-1.json\n"
    ran = send(made, store, out, lambda name, _: completion_of(name, time.time(), text="Blue."))
    assert ran.out == "Blue.\n"
    assert len(list(out.iterdir())) == 1


def test_what_cannot_be_saved_is_told_and_exit_code_1(made: Settings, tmp_path: Path) -> None:
    store, out = tmp_path / "store", tmp_path / "out"
    ref = put(store, PNG).as_json()
    cases = {
        "sum": {**ref, "dataref_sha256": "0a" * 32},
        "bytes": {**ref, "dataref_size": 5},
        "nothing": {**ref, "dataref": f"{ref['dataref'][:-5]}0.png"},
        "not allowed": {**ref, "dataref": "file:///etc/hostname"},
    }
    for said, wrong in cases.items():

        def answer(name: str, _: Any, ref: dict[str, Any] = wrong) -> Completion:
            return pictured(name, ref)

        ran = send(made, store, out, answer, expect=1)
        assert "could not be saved" in ran.err
        assert said in ran.err
    assert list(out.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_sent(
    made: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    out = tmp_path / "file" / "out"
    ran = run(made, "send", "A sky.", "--out", str(out), expect=2)
    assert "--out" in ran.err


def test_without_out_it_is_told_where_pictures_lie(made: Settings, tmp_path: Path) -> None:
    ref = put(tmp_path, JPEG).as_json()
    with answering(made, lambda name, _: pictured(name, ref, ref)):
        ran = run(made, "send", "A sky.", "--wait")
    line = f"image/png of 13 bytes: {ref['dataref']}"
    assert ran.out.splitlines() == [line, line]


def vector(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


@pytest.mark.parametrize(
    ("vectors", "words"),
    [
        ([vector(*range(1_536))], "1 embedding of 1,536 numbers."),
        ([vector(1.0, 2.0)] * 1_200, "1,200 embeddings of 2 numbers."),
        ([[0.1, 0.2, 0.3]], "1 embedding of 3 numbers."),
        ([vector(1), vector(1, 2), vector(1, 2, 3)], "3 embeddings of 1 or 2 or 3 numbers."),
        ([], "The result is no text; --json shows it."),
        ([5], "The result is no text; --json shows it."),
        (["", []], "The result is no text; --json shows it."),
    ],
)
def test_embeddings_are_told_by_count_and_size(vectors: list[Any], words: str) -> None:
    assert told({"data": [{"embedding": one, "index": 0} for one in vectors]}) == words
