"""What is written is what is read, and headers of a producer come out byte for byte."""

from dataclasses import replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.records.calls import CallEvent, decode_call, encode_call
from broker.records.completion import Completion, Failure, decode_completion, encode_completion
from broker.records.data_refs import DataRef
from broker.records.errors import BadRecordError
from broker.records.headers import completion_headers, echoed
from broker.records.incoming import Source
from broker.records.not_routed import NotRouted
from broker.records.providers import ProviderState, decode_state, encode_state
from broker.records.times import from_rfc3339, to_rfc3339
from broker.records.work import RouteStep, Work, decode_work, encode_work, work_headers

AT = 1_700_000_000.125
STEP = RouteStep("azure", "preferred: waits 0.2 s", AT, "preferred")
WHY = NotRouted("all_tried", "no other", ({"provider": "azure"},), {"used": 2.0}, 300, "prior")
SEEN = replace(STEP, candidates=({"provider": "azure", "wait_s": 0.2},))


WORK = Work(
    id="a",
    tenant="t",
    kind="chat",
    model="m",
    priority="standard",
    provider=None,
    deadline=AT + 5,
    stream=False,
    accepted_at=AT,
    source=Source(1, 2),
    reply_partition=3,
    weight=900,
    lane="light",
    input_tokens=100,
    expected_output_tokens=200,
    attempt=0,
    route=(SEEN,),
    fields={"prompt": "x", "weight": "a producer's own field"},
    metadata={},
    headers=(("x-own", b"\xff"),),
    weighed="80% of 1,203 answers to t are shorter",
    not_before=AT + 2,
    apart=0.625,
)


ENDED = Completion(
    id="a",
    tenant="t",
    status="failed",
    kind="chat",
    model="m",
    provider="azure",
    provider_model="dep",
    lane="heavy",
    weight=9_000,
    input_tokens=1,
    output_tokens=2,
    cost_usd=None,
    accepted_at=AT,
    completed_at=AT + 1,
    queued_ms=5,
    provider_ms=6,
    calls=2,
    route=(STEP,),
    error=Failure("provider", "server_error", "It broke.", 500, AT + 60, WHY),
    metadata={"a": "b"},
    text="hi",
    body={"id": "x"},
    data=DataRef("file:///x", 5, "00"),
)


def test_work_round_trips_and_keeps_the_producers_fields_apart() -> None:
    assert decode_work(encode_work(WORK), WORK.headers) == WORK
    assert orjson.loads(encode_work(WORK))["weight"] == 900


def test_a_move_adds_a_step() -> None:
    moved = WORK.moved(RouteStep("google", "breaker open", AT + 1), attempt=2)
    assert (moved.moves, moved.attempt, moved.route[-1].provider) == (1, 2, "google")


def test_work_headers_are_ours_first_and_never_doubled() -> None:
    headers = work_headers(replace(WORK, headers=(("lane", b"forged"), ("traceparent", b"00-1"))))
    assert dict(headers)["lane"] == b"light"
    assert [name for name, _ in headers].count("lane") == 1
    assert ("traceparent", b"00-1") in headers


def test_completion_round_trips() -> None:
    assert decode_completion(encode_completion(ENDED)) == ENDED
    assert next(iter(orjson.loads(encode_completion(ENDED)))) == "id"
    assert list(orjson.loads(encode_completion(ENDED)))[-1] == "body"


def test_an_error_may_say_more_than_this_version_knows_and_nothing_of_another_type() -> None:
    value = orjson.loads(encode_completion(ENDED))
    value["error"]["news"] = 1
    assert decode_completion(orjson.dumps(value)) == ENDED
    value["error"]["not_routed"]["candidates"] = ["azure"]
    with pytest.raises(BadRecordError):
        decode_completion(orjson.dumps(value))


def test_calls_and_states_round_trip() -> None:
    started = CallEvent("a", "t", "azure", "m", 1, "started", AT)
    ended = CallEvent(
        "a", "t", "azure", "m", 1, "ended", AT, "ok", 200, None, 12, 3, 0.5, 1, 2, 0.25
    )
    more = replace(
        ended,
        kind="chat",
        lane="light",
        weight=900,
        expected_output_tokens=200,
        queued_ms=7,
        own_maximum=300,
        cut=True,
        notes={"deployment": "ptu-2"},
    )
    assert decode_call(encode_call(more)) == more
    assert decode_call(encode_call(started)) == started
    assert decode_call(encode_call(ended)) == ended
    state = ProviderState(
        "azure", "0", AT, "open", 1, 2, 3, 4, None, {"light": 1}, {"light": 1}, AT + 3
    )
    assert decode_state(encode_state(state)) == state
    assert state.key == b"azure/0"


@pytest.mark.parametrize("value", [None, b"", b"[]", b"{}", b"null", b"\xff", b'{"id":1}'])
def test_foreign_bytes_in_our_topics_are_told_apart(value: bytes | None) -> None:
    for decode in (decode_work, decode_completion, decode_call, decode_state):
        with pytest.raises(BadRecordError):
            decode(value)


def test_correlation_headers_are_echoed_byte_for_byte() -> None:
    original = (
        ("kafka_correlationId", b"\x00\xff"),
        ("traceparent", b"00-abc"),
        ("ce_id", b"in"),
        ("ce_tenantid", b"x"),
        ("content-type", b"text/plain"),
        ("other", b"no"),
    )
    assert echoed(original) == (original[0], original[1], original[3])
    out = completion_headers(
        original, prompt_id="p", status="succeeded", provider="azure", lane="light", at="T"
    )
    names = [name for name, _ in out]
    assert len(names) == len(set(names))
    assert dict(out)["ce_type"] == b"weighbridge.completion.v1"
    assert dict(out)["kafka_correlationId"] == b"\x00\xff"


@given(st.floats(0, 4e9))
def test_times_keep_milliseconds(at: float) -> None:
    assert abs(from_rfc3339(to_rfc3339(at)) - at) <= 0.000_501
    assert len(to_rfc3339(at)) == 24
