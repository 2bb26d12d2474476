"""Every record ends as a prompt or as a rejection that a person understands, never as a crash."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.records.incoming import InputRecord, Source
from broker.records.parsing import parse_prompt
from broker.records.prompt import Catalog, Prompt, Rejected

CATALOG = Catalog(
    models={"chat-small": "chat", "pictures": "image", "vectors": "embedding"},
    default_models={"chat": "chat-small"},
    providers={
        "chat-small": ("openai", "azure"),
        "pictures": ("azure",),
        "vectors": ("azure",),
    },
    completion_partitions=12,
)
AT = 1_700_000_000.0


def record(
    value: bytes | None, *, headers: tuple[tuple[str, bytes], ...] = (), key: bytes | None = None
) -> InputRecord:
    return InputRecord("llm.prompts", 3, 41, AT, key, value, headers)


def parsed(value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> Prompt:
    result = parse_prompt(record(value, headers=headers), CATALOG)
    assert isinstance(result, Prompt), result
    return result


def rejected(value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> Rejected:
    result = parse_prompt(record(value, headers=headers), CATALOG)
    assert isinstance(result, Rejected), result
    return result


def test_plain_text_is_a_chat_prompt_with_all_defaults() -> None:
    prompt = parsed(b"Why is the sky blue?")
    assert prompt.fields == {"prompt": "Why is the sky blue?"}
    assert (prompt.id, prompt.explicit_id) == ("3-41", False)
    assert (prompt.kind, prompt.model, prompt.priority) == ("chat", "chat-small", "standard")
    assert (prompt.tenant, prompt.source, prompt.accepted_at) == ("default", Source(3, 41), AT)


def test_json_keeps_unknown_fields_and_openai_content_parts() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "data:"}}]
    value = {"id": "a.b:c~1", "messages": [{"role": "user", "content": parts}], "seed": 7}
    prompt = parsed(orjson.dumps(value))
    assert prompt.fields == value
    assert prompt.explicit_id


def test_cloudevents_id_serves_when_the_value_has_none() -> None:
    assert parsed(b"hello", headers=(("ce_id", b"evt-9x"),)).id == "evt-9x"
    assert parsed(b'{"id":"own","prompt":"x"}', headers=(("ce_id", b"evt"),)).id == "own"


def test_a_deadline_in_the_past_is_no_bad_input() -> None:
    prompt = parsed(b'{"prompt":"x","deadline":"2001-01-01T00:00:00Z"}')
    assert prompt.deadline == 978_307_200.0
    assert parsed(b'{"prompt":"x","timeout_s":0}').deadline == AT


def test_correlation_headers_that_are_not_text_are_not_looked_at() -> None:
    headers = (("kafka_correlationId", b"\xff\x00"),)
    assert parsed(b"hello", headers=headers).headers == headers


BAD: dict[str, tuple[bytes | None, str]] = {
    "broken JSON": (b'{"prompt": "x"', "invalid_json"),
    "invalid UTF-8 text": (b"sky \xff blue", "invalid_utf8"),
    "invalid UTF-8 in JSON": (b'{"prompt":"\xff"}', "invalid_utf8"),
    "a JSON array": (b'["x"]', "not_an_object"),
    "a JSON text": (b'"x"', "not_an_object"),
    "prompt of the wrong type": (b'{"prompt":5}', "invalid_prompt"),
    "messages of the wrong type": (b'{"messages":"x"}', "invalid_messages"),
    "a message without role": (b'{"messages":[{"content":"x"}]}', "invalid_messages"),
    "content of the wrong type": (
        b'{"messages":[{"role":"user","content":5}]}',
        "invalid_messages",
    ),
    "items of the wrong form": (b'{"input":["x"]}', "invalid_prompt"),
    "items without role": (b'{"input":[{"content":"x"}]}', "invalid_prompt"),
    "items with odd content": (b'{"input":[{"role":"user","content":[5]}]}', "invalid_prompt"),
    "no items": (b'{"input":[]}', "missing_prompt"),
    "missing prompt": (b"{}", "missing_prompt"),
    "blank prompt": (b'{"prompt":"  "}', "missing_prompt"),
    "no messages": (b'{"messages":[]}', "invalid_messages"),
    "NaN": (b'{"prompt":"x","temperature":NaN}', "invalid_number"),
    "minus infinity": (b'{"prompt":"x","temperature":-Infinity}', "invalid_number"),
    "10,000 levels": (b'{"prompt":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "too_deep"),
    "200 levels": (b'{"a":' + b"[" * 200 + b"]" * 200 + b',"prompt":"x"}', "too_deep"),
    "duplicate keys": (b'{"prompt":"x","prompt":"y"}', "duplicate_field"),
    "duplicate keys inside": (b'{"prompt":"x","a":[{"b":1,"b":2}]}', "duplicate_field"),
    "duplicate keys behind an escape": (b'{"a":"\\u003a","prompt":"x","a":1}', "duplicate_field"),
    "a null value": (None, "null_value"),
    "an empty value": (b"", "empty_value"),
    "white space": (b" \n", "empty_value"),
    "white space of text only": (b"\x1c", "empty_value"),
    "a long id": (b'{"prompt":"x","id":"' + b"a" * 5_000 + b'"}', "invalid_id"),
    "an id with control characters": (b'{"prompt":"x","id":"a\\u0000b"}', "invalid_id"),
    "an id that is a number": (b'{"prompt":"x","id":7}', "invalid_id"),
    "an id kept for us": (b'{"prompt":"x","id":"3-41"}', "reserved_id"),
    "unknown model": (b'{"prompt":"x","model":"nope"}', "unknown_model"),
    "model of the wrong type": (b'{"prompt":"x","model":[]}', "invalid_model"),
    "unknown kind": (b'{"prompt":"x","kind":"video"}', "unknown_kind"),
    "a kind that has no model": (b'{"prompt":"x","kind":"image"}', "unknown_model"),
    "kind against model": (b'{"prompt":"x","kind":"image","model":"chat-small"}', "kind_mismatch"),
    "unknown provider": (b'{"prompt":"x","provider":"ibm"}', "unknown_provider"),
    "a provider that lacks the model": (
        b'{"prompt":"x","model":"pictures","provider":"openai"}',
        "unknown_provider",
    ),
    "unknown priority": (b'{"prompt":"x","priority":"urgent"}', "unknown_priority"),
    "priority of the wrong type": (b'{"prompt":"x","priority":[1]}', "unknown_priority"),
    "tenant of the wrong type": (b'{"prompt":"x","tenant":{}}', "invalid_tenant"),
    "tenant with control characters": (b'{"prompt":"x","tenant":"a\\n"}', "invalid_tenant"),
    "stream of the wrong type": (b'{"prompt":"x","stream":"yes"}', "invalid_stream"),
    "metadata of the wrong type": (b'{"prompt":"x","metadata":{"a":1}}', "invalid_metadata"),
    "max tokens of zero": (b'{"prompt":"x","max_output_tokens":0}', "invalid_number"),
    "a deadline without offset": (
        b'{"prompt":"x","deadline":"2026-01-01T00:00:00"}',
        "invalid_deadline",
    ),
    "a deadline that is a number": (b'{"prompt":"x","deadline":5}', "invalid_deadline"),
    "an endless time-out": (b'{"prompt":"x","timeout_s":1e300}', "invalid_timeout"),
    "a lone surrogate": (b'{"prompt":"\\ud800"}', "invalid_json"),
}


def test_the_items_of_a_response_are_a_prompt() -> None:
    items = b'[{"role":"user","content":[{"type":"input_text","text":"Why?"}]},{"type":"x"}]'
    assert len(parsed(b'{"input":' + items + b"}").fields["input"]) == 2


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_told_by_code_and_sentence(name: str) -> None:
    value, code = BAD[name]
    result = rejected(value)
    assert result.code == code
    assert result.message.endswith(".")
    assert len(result.message) < 300


def test_a_rejection_ends_under_its_own_id_when_that_can_be_read() -> None:
    assert rejected(b'{"id":"mine","prompt":5}').id == "mine"
    assert rejected(b'{"id":"mine","tenant":"t","prompt":5}').tenant == "t"
    assert rejected(b'{"id":"bad id","prompt":"x"}').id == "3-41"
    assert rejected(b'{"id":"a","id":"b","prompt":"x"}').id == "3-41"
    assert rejected(None, headers=(("ce_id", b"evt"),)).id == "evt"


@pytest.mark.parametrize("name", ["traceparent", "ce_source", "reply-partition", "content-type"])
def test_headers_that_we_read_must_be_text(name: str) -> None:
    assert rejected(b"hello", headers=((name, b"\xff"),)).code == "invalid_header"


@pytest.mark.parametrize("text", [b"12", b"-1", b"x", b"", "\u0663".encode(), b"9" * 40])
def test_reply_partition_must_exist(text: bytes) -> None:
    result = rejected(b"hello", headers=(("reply-partition", text),))
    assert result.code == "invalid_reply_partition"
    assert result.reply_partition is None


def test_reply_partition_is_kept_for_bad_prompts_too() -> None:
    assert rejected(b"{}", headers=(("reply-partition", b"7"),)).reply_partition == 7


def test_a_forwarded_prompt_keeps_the_time_it_was_first_accepted() -> None:
    headers = (
        ("weighbridge-origin", b"1-2"),
        ("weighbridge-accepted-at", b"2023-11-14T22:13:10.000Z"),
    )
    assert parsed(b"hello", headers=headers).accepted_at == AT - 10
    later = (("weighbridge-origin", b"1-2"), ("weighbridge-accepted-at", b"2033-01-01T00:00:00Z"))
    assert parsed(b"hello", headers=later).accepted_at == AT


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_parser(value: bytes) -> None:
    assert isinstance(parse_prompt(record(value), CATALOG), Prompt | Rejected)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=12,
)
names = st.sampled_from(
    [
        *("id", "tenant", "kind", "model", "prompt", "messages", "input", "priority", "deadline"),
        *("timeout_s", "provider", "stream", "metadata", "max_output_tokens", "n", "x"),
    ]
)


@given(st.dictionaries(names, json_values))
def test_no_object_crashes_the_parser_and_what_passes_is_unchanged(
    value: dict[str, object],
) -> None:
    result = parse_prompt(record(orjson.dumps(value)), CATALOG)
    if isinstance(result, Prompt):
        assert result.fields == value
