"""The way of a prompt from any producer to its completion, through every process."""

import hashlib
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from broker.records.calls import decode_call
from broker.records.times import from_rfc3339
from broker.records.work import decode_work
from tests.system.conftest import MOST_BYTES
from tests.system.conversation import Conversation, Found

MESSAGES = [
    {"role": "system", "content": "You answer in one sentence."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is in this picture?"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        ],
    },
]


def answered(found: Found) -> Any:
    """The body of a completion that succeeded."""
    body = found.body
    assert body["status"] == "succeeded", body["error"]
    assert body["error"] is None
    assert body["text"]
    return body


def test_plain_text_without_key_or_headers_as_kcat_sends_it(talk: Conversation) -> None:
    places = [talk.write(b"Why is the sky blue?", number, None) for number in range(4)]
    for found in talk.completions(place.id for place in places).values():
        body = answered(found)
        assert body["kind"] == "chat"
        assert body["model"] == "chat-small"
        assert body["tenant"] == "default"
        assert body["lane"] == "light"
        assert body["calls"] == 1
        assert body["cost_usd"] > 0
        assert not body["cost_estimated"]
        assert body["body"]["choices"][0]["message"]["content"] == body["text"]
        assert body["body"]["usage"]["completion_tokens"] == body["output_tokens"] > 0


def test_all_that_a_json_prompt_says_reaches_work_and_completion(talk: Conversation) -> None:
    metadata = {"order": "4711", "ümlaut": "früh"}
    fields: dict[str, Any] = {
        "id": "way.json:1~a",
        "tenant": "acme",
        "prompt": "Why is the sea salty?",
        "max_output_tokens": 12,
        "temperature": 0.2,
        "seed": 7,
        "x_unknown": {"deep": [1, None, "é"]},
        "metadata": metadata,
        "timeout_s": 120,
    }
    place = talk.ask(**fields)
    found = talk.completion("way.json:1~a")
    body = answered(found)
    assert body["tenant"] == "acme"
    assert body["metadata"] == metadata
    assert body["output_tokens"] <= 12
    assert body["provider_model"] in {"gpt-5-mini", "gemini-3-flash"}
    (record,) = talk.work_of("way.json:1~a")
    work = decode_work(record.value, record.headers)
    assert work.fields == fields
    assert work.deadline is not None
    assert abs(work.deadline - (place.accepted_ms / 1000 + 120)) < 0.002
    assert (work.source.partition, work.source.offset) == (place.partition, place.offset)


def test_messages_with_content_parts_are_answered(talk: Conversation) -> None:
    talk.ask(id="way-parts", messages=MESSAGES, max_output_tokens=20)
    answered(talk.completion("way-parts"))
    (record,) = talk.work_of("way-parts")
    assert decode_work(record.value).fields["messages"] == MESSAGES


def test_cloudevents_trace_and_correlation_headers_come_back_byte_for_byte(
    talk: Conversation,
) -> None:
    parent = b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    echoed = (
        ("traceparent", parent),
        ("tracestate", b"vendor=1,other=2"),
        ("ce_subject", "prüfung".encode()),
        ("ce_partitionkey", b"k 1"),
        ("kafka_correlationId", b"\x00\x01\xff"),
        ("correlation-id", b"c-1"),
        ("X-Request-ID", b"r-1"),
    )
    about_the_value = (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"way-event"),
        ("ce_type", b"com.example.asked"),
        ("ce_source", b"/shop"),
        ("content-type", b"text/plain"),
    )
    talk.write(b"Why?", talk.home("way-event"), b"k", (*about_the_value, *echoed))
    found = talk.completion("way-event")
    answered(found)
    assert [header for header in found.headers if header in echoed] == list(echoed)
    assert found.header("ce_type") == b"weighbridge.completion.v1"
    assert found.header("ce_id") == b"way-event/completion"
    assert found.header("ce_causationid") == b"way-event"
    assert found.header("content-type") == b"application/json"
    assert [name for name, _ in found.headers].count("ce_source") == 1
    (record,) = talk.work_of("way-event")
    assert record.header("traceparent") == parent


def test_the_completion_comes_to_the_reply_partition(talk: Conversation) -> None:
    for number in range(4):
        talk.ask(
            (("reply-partition", str(number).encode()),),
            id=f"way-reply-{number}",
            prompt="Why?",
            max_output_tokens=4,
        )
    for number in range(4):
        assert talk.completion(f"way-reply-{number}").partition == number


def test_a_pinned_provider_answers_and_the_route_says_so(talk: Conversation) -> None:
    for provider in ("google", "azure"):
        identity = f"way-pin-{provider}"
        talk.ask(id=identity, prompt="Why?", provider=provider, max_output_tokens=4)
        found = talk.completion(identity)
        body = answered(found)
        assert body["provider"] == provider
        assert found.header("provider") == provider.encode()
        assert [step["provider"] for step in body["route"]] == [provider]
        assert "pin" in body["route"][0]["reason"]


def test_batch_priority_and_weight_choose_the_lane(talk: Conversation) -> None:
    lanes = talk.settings.lane_plan(talk.settings.topics.work).partitions
    talk.ask(id="way-batch", prompt="Why?", priority="batch", max_output_tokens=4)
    talk.ask(id="way-heavy", prompt="word " * 9_000, max_output_tokens=4)
    talk.ask(id="way-medium", prompt="Why?", max_output_tokens=1_000)
    for lane in ("batch", "heavy", "medium"):
        found = talk.completion(f"way-{lane}")
        assert found.body["lane"] == lane
        assert found.header("lane") == lane.encode()
        (record,) = talk.work_of(f"way-{lane}")
        assert record.partition in lanes[lane]


def test_an_answer_too_large_for_a_record_comes_as_a_reference(
    talk: Conversation, claims: Path
) -> None:
    talk.ask(id="way-large", prompt="Tell a long story.", max_output_tokens=6_000)
    found = talk.completion("way-large")
    body = found.body
    assert body["status"] == "succeeded", body["error"]
    assert found.value is not None
    assert len(found.value) < MOST_BYTES
    assert (body["text"], body["body"]) == (None, None)
    path = Path(urlsplit(body["dataref"]).path)
    data = path.read_bytes()
    assert path.is_relative_to(claims)
    assert len(data) == body["dataref_size"] > MOST_BYTES
    assert hashlib.sha256(data).hexdigest() == body["dataref_sha256"]
    assert body["dataref_type"] == "application/json"
    answer = orjson.loads(data)
    assert answer["usage"]["completion_tokens"] == body["output_tokens"]


def test_times_weights_reasons_and_work_headers_are_true(talk: Conversation) -> None:
    before = time.time()
    place = talk.ask(id="way-truth", prompt="Why is the sky blue?", max_output_tokens=8)
    found = talk.completion("way-truth")
    after = time.time()
    body = answered(found)
    assert from_rfc3339(body["accepted_at"]) * 1000 == place.accepted_ms
    accepted, completed = from_rfc3339(body["accepted_at"]), from_rfc3339(body["completed_at"])
    assert before - 0.05 <= accepted <= completed <= after + 0.05
    spent_ms = (completed - accepted) * 1000
    assert 0 <= body["queued_ms"] <= spent_ms + 2
    assert 0 <= body["provider_ms"] <= spent_ms + 2
    assert abs(body["queued_ms"] + body["provider_ms"] - spent_ms) < 250
    (record,) = talk.work_of("way-truth")
    work = decode_work(record.value)
    assert record.header("lane") == work.lane.encode() == body["lane"].encode()
    assert record.header("weight") == str(work.weight).encode()
    assert work.weight == body["weight"]
    assert work.weight == work.input_tokens + 4 * work.expected_output_tokens
    assert work.expected_output_tokens == 8
    assert work.input_tokens > 6, "counted"
    assert body["input_tokens"] == body["body"]["usage"]["prompt_tokens"], "as the provider says"
    assert record.header("attempt") == b"0"
    assert record.header("reason") == work.route[0].reason.encode()
    (step,) = body["route"]
    assert step["reason"] == work.route[0].reason
    assert step["provider"] == body["provider"] == work.route[0].provider
    assert body["provider"] in step["reason"]
    assert accepted - 0.05 <= from_rfc3339(step["at"]) <= completed
    calls = [
        decode_call(one.value) for one in talk.read(talk.topics.calls) if one.key == b"way-truth"
    ]
    assert [(call.event, call.attempt) for call in calls] == [("started", 1), ("ended", 1)]
    assert calls[1].outcome == "ok"
    assert calls[1].output_tokens == body["output_tokens"]
    assert body["calls"] == 1


def test_an_id_that_comes_twice_or_away_from_home_is_answered_once(talk: Conversation) -> None:
    value = orjson.dumps({"id": "way-twice", "prompt": "Why?", "max_output_tokens": 4})
    home = talk.home("way-twice")
    first = talk.write(value, (home + 1) % 4)
    for partition in (home, (home + 2) % 4, home):
        talk.write(value, partition)
    talk.ask(id="way-after", prompt="Why?", max_output_tokens=4)
    found = talk.completions(["way-twice", "way-after"])["way-twice"]
    answered(found)
    (record,) = talk.work_of("way-twice")
    assert decode_work(record.value).accepted_at >= first.accepted_ms / 1000 - 0.001
