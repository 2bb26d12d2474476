"""What a prompt refers to is brought before its call: from allowed stores and checked, or not."""

import base64
import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from broker.records.completion import decode_completion
from broker.records.work import Work, decode_work, encode_work
from broker.settings.sections import InputStore, StoreSettings
from tests.workers import local_provider as says
from tests.workers.building import bench, job, on_loop, work
from workers.ends import Finish, Move
from workers.input_parts import filled, holders
from workers.ticket import Ticket

PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 400_000


def ref(url: str, data: bytes, **change: Any) -> dict[str, Any]:
    return {
        "dataref": url,
        "dataref_size": len(data),
        "dataref_sha256": hashlib.sha256(data).hexdigest(),
        **change,
    }


def stored(folder: Path, name: str, data: bytes, **change: Any) -> dict[str, Any]:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return ref(path.as_uri(), data, **change)


def parts(*given: Mapping[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(given)}]}


def asked(
    tmp_path: Path,
    fields: Mapping[str, Any],
    kind: str = "chat",
    travels: int = 4_000,
    **store: Any,
) -> tuple[Finish | Move, list[dict[str, Any]]]:
    """What the attempt came to, and what the provider was asked."""
    settings = StoreSettings(url=(tmp_path / "own").as_uri(), **store)

    async def main() -> tuple[Finish | Move, list[dict[str, Any]]]:
        async with says.local_provider() as provider:
            if kind != "chat":
                many = len(fields["input"]) if isinstance(fields["input"], list) else 2
                vectors = [{"index": n, "embedding": [float(n)]} for n in range(many)]
                provider.reply = says.bytes_of(orjson.dumps({"data": vectors, "usage": {}}))
            made = bench(provider.url, store=settings)
            ticket = Ticket.ask(made.breaker, time.time())
            assert ticket is not None
            given = as_read(work(kind=kind, fields=fields), travels)
            end = await made.attempts.run(job(given), ticket)
            await made.attempts.client.close()
            assert isinstance(end, Finish | Move)
            assert made.attempts.inputs.room.held == 0
            started = made.journal.of("started")
            assert len(started) == len(provider.asked)
            return end, provider.asked

    return on_loop(main())


def as_read(given: Work, most: int) -> Work:
    """As it comes from a work topic; only the reference has travelled."""
    if "messages" in given.fields:
        del given.fields["prompt"]  # type: ignore[attr-defined]  # it is a dict
    value = encode_work(given)
    assert len(value) < most
    return decode_work(value)


def test_parts_reach_the_provider_with_their_bytes_in_place(tmp_path: Path) -> None:
    own = tmp_path / "own" / "any" / "where"
    wav, pdf, text = b"RIFF....WAVE", b"%PDF-1.7 x", "Sätze\n" * 9
    fields = parts(
        {"type": "text", "text": "Look."},
        {"type": "image_url", "image_url": stored(own, "a b.png", PNG, detail="low")},
        {"type": "image_url", **stored(own, "b", PNG, dataref_type="image/webp")},
        {"type": "input_audio", "input_audio": stored(own, "w", wav, dataref_type="audio/wave")},
        {"type": "file", "file": stored(own, "f", pdf, filename="f.pdf")},
        {"type": "text", **stored(own, "t.txt", text.encode())},
    )
    end, (body,) = asked(tmp_path, fields)
    assert isinstance(end, Finish)
    assert end.completion.status == "succeeded"
    given = base64.b64encode(PNG).decode()
    assert body["messages"][0]["content"] == [
        {"type": "text", "text": "Look."},
        {
            "type": "image_url",
            "image_url": {"url": f"data:image/png;base64,{given}", "detail": "low"},
        },
        {"type": "image_url", "image_url": {"url": f"data:image/webp;base64,{given}"}},
        {
            "type": "input_audio",
            "input_audio": {"data": base64.b64encode(wav).decode(), "format": "wav"},
        },
        {
            "type": "file",
            "file": {
                "file_data": "data:application/pdf;base64," + base64.b64encode(pdf).decode(),
                "filename": "f.pdf",
            },
        },
        {"type": "text", "text": text},
    ]


def test_whole_prompts_and_lists_of_inputs_come_by_reference(tmp_path: Path) -> None:
    own, text = tmp_path / "own", "Why is the sky blue? " * 40_000
    _, (body,) = asked(tmp_path, {"prompt": stored(own, "p", text.encode())})
    assert body["messages"] == [{"role": "user", "content": text}]
    for inputs in (["a", "é"], [[1, 2], [3]]):
        data = orjson.dumps(inputs)
        given = stored(own, "i", data, dataref_type="application/json")
        _, (body,) = asked(tmp_path, {"input": given}, "embedding")
        assert body["input"] == inputs


def test_parts_of_the_responses_form_keep_its_names(tmp_path: Path) -> None:
    own, encoded = tmp_path / "own", base64.b64encode(PNG).decode()
    content = [
        {"type": "input_image", **stored(own, "a", PNG), "detail": "low"},
        {"type": "input_file", **stored(own, "f", b"%PDF-"), "filename": "f.pdf"},
        {"type": "input_text", **stored(own, "t", b"Look.")},
    ]
    given: dict[str, Any] = {"input": [{"role": "user", "content": content}, {"type": "x"}]}
    refs = list(holders(given))
    data = {holder["dataref"]: Path(holder["dataref"][7:]).read_bytes() for holder in refs}
    assert filled(given, data.__getitem__)["input"] == [
        {
            "role": "user",
            "content": [
                {
                    "type": "input_image",
                    "image_url": f"data:image/png;base64,{encoded}",
                    "detail": "low",
                },
                {
                    "type": "input_file",
                    "file_data": "data:application/pdf;base64,JVBERi0=",
                    "filename": "f.pdf",
                },
                {"type": "input_text", "text": "Look."},
            ],
        },
        {"type": "x"},
    ]


def test_an_allowed_store_beside_our_own_may_be_read_and_no_other(tmp_path: Path) -> None:
    inside, beside = tmp_path / "in", tmp_path / "inside"
    allowed = (InputStore(url=inside.as_uri()),)
    good = {"type": "image_url", "image_url": stored(inside, "x/a.png", PNG)}
    end, came = asked(tmp_path, parts(good), inputs=allowed)
    assert (isinstance(end, Finish), len(came)) == (True, 1)
    for bad in (
        stored(beside, "a.png", PNG),
        ref(f"{inside.as_uri()}/../inside/a.png", PNG),
        ref(f"{inside.as_uri()}/%2e%2e/inside/a.png", PNG),
        ref("https://169.254.169.254/latest/meta-data", b"x"),
        ref("file:///etc/passwd", b"x"),
    ):
        failed_by(tmp_path, parts({"type": "image_url", "image_url": bad}), "not_allowed", allowed)


def test_a_link_does_not_lead_out_of_a_folder(tmp_path: Path) -> None:
    secret = stored(tmp_path / "elsewhere", "secret", b"key")
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "link").symlink_to(tmp_path / "elsewhere")
    given = {**secret, "dataref": f"{inside.as_uri()}/link/secret"}
    failed_by(tmp_path, {"prompt": given}, "not_allowed", (InputStore(url=inside.as_uri()),))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"dataref_sha256": "0a" * 32}, "mismatch"),
        ({"dataref_size": 9}, "mismatch"),
        ({"dataref_size": 400_009}, "mismatch"),
        ({"dataref_size": 10**9}, "too_large"),
        ({"dataref": None}, "missing"),
    ],
)
def test_what_is_not_as_it_says_fails_with_no_call_and_no_move(
    tmp_path: Path, change: dict[str, Any], code: str
) -> None:
    own = tmp_path / "own"
    given = {**stored(own, "a.png", PNG), **change}
    given["dataref"] = given["dataref"] or f"{own.as_uri()}/gone.png"
    failed_by(tmp_path, parts({"type": "image_url", "image_url": given}), code)


def test_one_of_two_references_to_the_same_bytes_may_not_lie(tmp_path: Path) -> None:
    good = stored(tmp_path / "own", "a.png", PNG)
    lie = {**good, "dataref_sha256": "0a" * 32}
    for pair in ((good, lie), (lie, good)):
        failed_by(
            tmp_path, parts(*({"type": "image_url", "image_url": one} for one in pair)), "mismatch"
        )


def test_bytes_that_are_no_text_where_text_belongs(tmp_path: Path) -> None:
    own = tmp_path / "own"
    failed_by(tmp_path, {"prompt": stored(own, "p", b"\xff\xfe")}, "unreadable")
    for data in (b'[1, "a"]', b"[", b"{}", b"5"):
        given = stored(own, "i", data, dataref_type="application/json")
        failed_by(tmp_path, {"input": given}, "unreadable", kind="embedding")


def test_many_that_fit_one_by_one_may_be_too_large_together(tmp_path: Path) -> None:
    own = tmp_path / "own"
    given = [stored(own, str(n), PNG + bytes([n])) for n in range(3)]
    fields = parts(*({"type": "image_url", "image_url": one} for one in given))
    end, _ = asked(tmp_path, fields, max_input_bytes=2_000_000)
    assert isinstance(end, Finish)
    assert end.completion.status == "succeeded"
    end, came = asked(tmp_path, fields, max_input_bytes=1_000_000)
    assert isinstance(end, Finish)
    assert end.completion.error is not None
    assert (end.completion.error.code, came) == ("dataref_too_large", [])


def failed_by(
    tmp_path: Path,
    fields: Mapping[str, Any],
    code: str,
    allowed: tuple[InputStore, ...] = (),
    kind: str = "chat",
) -> None:
    end, came = asked(tmp_path, fields, kind, inputs=allowed)
    assert isinstance(end, Finish)
    done = decode_completion(end.value)
    assert (done.status, done.calls, came) == ("failed", 0, [])
    assert done.error is not None
    assert (done.error.type, done.error.code) == ("invalid_request", f"dataref_{code}")
    assert "file:" not in done.error.message
