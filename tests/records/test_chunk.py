"""Chunks on the wire: what the contract says, read back as it was written."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.records.chunk import CallName, ChunkWriter, decode_chunk
from broker.records.errors import BadRecordError
from broker.records.usage import Usage

CALL = CallName(2, 1_764_000_000.25)
AT = 1_764_000_001.5


def writer(**given: object) -> ChunkWriter:
    usual = {"prompt_id": "p1", "tenant": "acme", "provider": "azure", "model": "chat-small"}
    return ChunkWriter(call=CALL, **{**usual, **given})  # type: ignore[arg-type]  # texts and headers


def test_a_piece_is_flat_json_with_what_people_look_for_first() -> None:
    value = orjson.loads(writer().piece(3, AT, 0, {"content": "Be"}, None))
    assert value == {
        "id": "p1",
        "tenant": "acme",
        "provider": "azure",
        "model": "chat-small",
        "attempt": 2,
        "began_at": "2025-11-24T16:00:00.250Z",
        "seq": 3,
        "event": "piece",
        "at": "2025-11-24T16:00:01.500Z",
        "index": 0,
        "delta": {"content": "Be"},
        "finish_reason": None,
    }
    assert list(value)[:5] == ["id", "tenant", "provider", "model", "attempt"]


def test_the_first_and_the_last_record_of_a_call() -> None:
    started = decode_chunk(writer().started(0, AT))
    assert (started.event, started.call, started.at, started.delta) == ("started", CALL, AT, None)
    usage = Usage(6, 4, 2, 1)
    ended = writer().last(9, "ended", AT, finish_reason="stop", outcome="ok", usage=usage)
    assert orjson.loads(ended)["usage"] == {
        "input_tokens": 6,
        "output_tokens": 4,
        "cached_input_tokens": 2,
        "reasoning_tokens": 1,
    }
    read = decode_chunk(ended)
    assert (read.usage, read.outcome, read.finish_reason, read.seq) == (usage, "ok", "stop", 9)
    failed = decode_chunk(writer().last(9, "failed", AT, outcome="move", code="stream_cut"))
    assert (failed.event, failed.outcome, failed.code) == ("failed", "move", "stream_cut")
    assert failed.usage == Usage()


@given(
    text=st.text(max_size=20),
    reason=st.none() | st.text(max_size=9),
    tenant=st.text(max_size=9),
    seq=st.integers(0, 10**9),
)
def test_any_text_is_read_back_as_it_was_written(
    text: str, reason: str | None, tenant: str, seq: int
) -> None:
    made = writer(tenant=tenant, model='m"%b{', provider="%d")
    read = decode_chunk(made.piece(seq, AT, 7, {"content": text, "%b": 1}, reason))
    assert (read.tenant, read.model, read.provider) == (tenant, 'm"%b{', "%d")
    assert (read.delta, read.finish_reason) == ({"content": text, "%b": 1}, reason)
    assert (read.seq, read.index) == (seq, 7)


def test_headers_name_the_record_and_carry_what_correlates() -> None:
    given_headers = (("traceparent", b"00-1"), ("kafka_correlationId", b"\x00\xff"), ("x", b"y"))
    made = writer(headers=given_headers)
    headers = made.headers(3, "piece")
    assert dict(headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"p1/2-1764000000250/3",
        "ce_source": b"weighbridge",
        "ce_type": b"weighbridge.chunk.v1",
        "content-type": b"application/json",
        "event": b"piece",
        "traceparent": b"00-1",
        "kafka_correlationId": b"\x00\xff",
    }
    assert made.key == b"p1"


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"[]",
        b"{}",
        writer().started(0, AT).replace(b"started", b"begun"),
        writer().started(0, AT).replace(b'"seq":0', b'"seq":"0"'),
        writer().started(0, AT).replace(b"2025", b"year"),
        writer().piece(1, AT, 0, {}, None).replace(b'"delta":{}', b'"delta":[]'),
        writer().piece(1, AT, 0, {}, None).replace(b'"index":0', b'"index":null'),
    ],
)
def test_what_is_no_chunk_is_told_from_one(value: bytes | None) -> None:
    with pytest.raises(BadRecordError, match="contract"):
        decode_chunk(value)
