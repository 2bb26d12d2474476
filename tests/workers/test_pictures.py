"""Pictures go to the store with their bytes as they are, and records say where they lie."""

import base64
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.records.completion import Completion, decode_completion
from tests.workers import local_provider as says
from tests.workers.building import bench, job, on_loop, work
from workers.ends import Finish
from workers.pictures import taken_out
from workers.ticket import Ticket

PNG = b"\x89PNG\r\n\x1a\n" + os.urandom(3_000_000)
JPEG = b"\xff\xd8\xff\xe0" + b"j" * 500
WEBP = b"RIFF\x10\x00\x00\x00WEBPVP8 " + b"w" * 300


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def image_body(*pictures: bytes) -> dict[str, Any]:
    return {
        "created": 1,
        "data": [{"b64_json": encoded(one), "revised_prompt": "a sky"} for one in pictures],
        "usage": {"input_tokens": 9, "output_tokens": 1056, "total_tokens": 1065},
    }


def asked(store: Path, body: dict[str, Any], kind: str = "image") -> Completion:
    async def main() -> Completion:
        async with says.local_provider() as provider:
            provider.reply = says.bytes_of(orjson.dumps(body))
            made = bench(provider.url, store=f"file://{store}")
            ticket = Ticket.ask(made.breaker, time.time())
            assert ticket is not None
            end = await made.attempts.run(job(work(kind=kind)), ticket)
            await made.attempts.client.close()
            assert isinstance(end, Finish)
            assert len(end.value) < 3_000
            return decode_completion(end.value)

    return on_loop(main())


def test_several_pictures_are_an_object_each_in_order(tmp_path: Path) -> None:
    done = asked(tmp_path, image_body(PNG, JPEG, WEBP))
    assert (done.status, done.text, done.data) == ("succeeded", None, None)
    assert done.body is not None
    assert done.body["usage"]["output_tokens"] == 1056
    types = ("image/png", "image/jpeg", "image/webp")
    for item, data, kind in zip(done.body["data"], (PNG, JPEG, WEBP), types, strict=True):
        assert "b64_json" not in item
        assert item["revised_prompt"] == "a sky"
        assert item["dataref_type"] == kind
        path = Path(item["dataref"].removeprefix("file://"))
        assert path.read_bytes() == data
        assert (item["dataref_size"], item["dataref_sha256"]) == (
            len(data),
            hashlib.sha256(data).hexdigest(),
        )


def test_a_small_picture_goes_to_the_store_too_and_the_same_one_is_one_object(
    tmp_path: Path,
) -> None:
    done = asked(tmp_path, image_body(JPEG, JPEG))
    assert done.body is not None
    first, second = done.body["data"]
    assert first == second
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_what_is_no_base64_or_only_a_url_stays_as_it_came(tmp_path: Path) -> None:
    body = {**image_body(JPEG), "data": [{"b64_json": "~~~"}, {"url": "https://x/y"}]}
    done = asked(tmp_path, body)
    assert done.body == body


def test_pictures_in_a_chats_message_go_to_the_store(tmp_path: Path) -> None:
    url = f"data:image/png;base64,{encoded(PNG)}"
    images = [{"type": "image_url", "index": 0, "image_url": {"url": url, "detail": "auto"}}]
    done = asked(tmp_path, says.completion("Here.", message={"images": images}), "chat")
    assert done.text == "Here."
    assert done.body is not None
    (part,) = done.body["choices"][0]["message"]["images"]
    assert part["index"] == 0
    assert part["image_url"]["detail"] == "auto"
    assert "url" not in part["image_url"]
    ref = part["image_url"]
    assert Path(ref["dataref"].removeprefix("file://")).read_bytes() == PNG


def test_a_chat_without_pictures_is_the_very_same_object() -> None:
    body = says.completion("data:image/png;base64,AAAA")
    assert taken_out("chat", body) == (body, [])
    assert taken_out("embedding", {"data": [{"b64_json": "AA=="}]})[1] == []


json_values = st.recursive(
    st.none() | st.booleans() | st.sampled_from(["AA==", "DATA:image/png;base64,AA==", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["data", "b64_json", "choices", "message", "images", "image_url"])
            | st.sampled_from(["content", "url"]),
            inner,
        )
    ),
    max_leaves=15,
)


@given(st.dictionaries(st.sampled_from(["data", "choices", "x"]), json_values))
def test_no_form_of_an_answer_breaks_it_and_what_is_put_back_is_the_same(
    body: dict[str, Any],
) -> None:
    before = orjson.dumps(body)
    for kind in ("image", "chat"):
        left, pictures = taken_out(kind, body)
        assert orjson.dumps(body) == before
        for picture in pictures:
            picture.put_back()
        assert left == body


@pytest.mark.parametrize("kind", ["image", "chat"])
def test_a_store_that_is_away_fails_the_prompt_and_no_picture_travels(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.store.objects._FIRST_PAUSE_S", 0.001)
    (tmp_path / "cluster").write_bytes(b"")
    images = [{"image_url": {"url": f"data:image/png;base64,{encoded(PNG)}"}}]
    body = image_body(PNG) if kind == "image" else says.completion(message={"images": images})
    done = asked(tmp_path, body, kind)
    assert (done.status, done.body) == ("failed", None)
    assert done.error is not None
    assert done.error.code == "store_unavailable"
