"""Every kind of record that is no prompt, and how each has to end."""

from dataclasses import dataclass, field

import orjson

from broker.records.incoming import Headers

NEAR_LIMIT = 1_048_000
"""Bytes of a value that just fits into a record of the prompts."""


@dataclass(frozen=True, slots=True)
class Bad:
    """`id` is that of the completion; None: the record's place. `says` is in the message."""

    name: str
    value: bytes | None = field(repr=False)
    code: str
    says: str
    id: str | None = None
    headers: Headers = ()
    key: bytes | None = b"a key"


def _json(name: str, code: str, says: str, *, kept: bool = True, **fields: object) -> Bad:
    """With an id of its own, which is used when it is `kept`."""
    given = {"id": f"bad-{name.replace(' ', '-')}", "prompt": "hi", **fields}
    identity = given["id"] if kept else None
    return Bad(name, orjson.dumps(given), code, says, str(identity) if identity else None)


_NOT_JSON = (
    Bad("broken JSON", b'{"id": "bad-broken", "prompt": ', "invalid_json", "line 1"),
    Bad("text after the object", b'{"prompt": "hi"} hi', "invalid_json", "broken"),
    Bad("text that is not UTF-8", b"\xff\xfe hello", "invalid_utf8", "not UTF-8"),
    Bad("JSON that is not UTF-8", b'{"prompt": "a\xff"}', "invalid_utf8", "not UTF-8"),
    Bad("half a surrogate", b'{"prompt": "\\ud800"}', "invalid_json", "broken"),
    Bad("a list", b'["why", "is", "it"]', "not_an_object", "not an object"),
    Bad("a string", b'"why"', "not_an_object", "not an object"),
    Bad("NaN", b'{"prompt": "hi", "temperature": NaN}', "invalid_number", "NaN"),
    Bad("Infinity", b'{"prompt": "hi", "top_p": -Infinity}', "invalid_number", "Infinity"),
    Bad(
        "10,000 levels of lists",
        b'{"prompt": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        "too_deep",
        "deeper",
    ),
    Bad(
        "10,000 levels of objects",
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        "too_deep",
        "deeper",
    ),
    Bad("a list of 10,000 levels", b"[" * 10_000 + b"]" * 10_000, "not_an_object", "not an object"),
    Bad("200 levels", b'{"p":' * 200 + b"1" + b"}" * 200, "too_deep", "deeper"),
    Bad("duplicate keys", b'{"prompt": "a", "prompt": "b"}', "duplicate_field", "more than once"),
    Bad(
        "duplicate keys in a message",
        b'{"messages": [{"role": "user", "role": "system", "content": "hi"}]}',
        "duplicate_field",
        "'role'",
    ),
    Bad("null", None, "null_value", "no value"),
    Bad("null without a key", None, "null_value", "no value", key=None),
    Bad("empty", b"", "empty_value", "empty"),
    Bad("white space", b" \r\n\t ", "empty_value", "empty"),
    Bad("near the limit", b"{" + b"x" * (NEAR_LIMIT - 1), "invalid_json", "broken"),
)

_FIELDS = (
    _json("prompt is a number", "invalid_prompt", "`prompt` must be text", prompt=5),
    _json("prompt is blank", "missing_prompt", "empty", prompt="  "),
    _json("no prompt", "missing_prompt", "needs", prompt=None),
    _json("messages is text", "invalid_messages", "list", messages="hi"),
    _json("message without role", "invalid_messages", "role", messages=[{"content": "hi"}]),
    _json(
        "content is a number", "invalid_messages", "content", messages=[{"role": "u", "content": 1}]
    ),
    _json("tenant is a number", "invalid_tenant", "`tenant`", tenant=5),
    _json("stream is text", "invalid_stream", "`stream`", stream="yes"),
    _json("tokens are text", "invalid_number", "`max_output_tokens`", max_output_tokens="many"),
    _json("tokens are negative", "invalid_number", "above zero", max_output_tokens=-1),
    _json("metadata is a list", "invalid_metadata", "`metadata`", metadata=["a"]),
    _json("metadata of numbers", "invalid_metadata", "only texts", metadata={"a": 1}),
    _json("deadline is no time", "invalid_deadline", "RFC 3339", deadline="tomorrow"),
    _json("deadline without offset", "invalid_deadline", "offset", deadline="2030-01-01T00:00:00"),
    _json("timeout is negative", "invalid_timeout", "`timeout_s`", timeout_s=-1),
    _json("model is a number", "invalid_model", "`model` must be text", model=5),
    _json("unknown model", "unknown_model", "known are: chat-small", model="gpt-99"),
    _json("unknown provider", "unknown_provider", "azure, google", provider="nobody"),
    _json("provider is a number", "invalid_provider", "`provider` must be text", provider=1),
    _json("unknown priority", "unknown_priority", "interactive, standard, batch", priority="now"),
    _json("priority is a list", "unknown_priority", "must be one of", priority=["batch"]),
    _json("unknown kind", "unknown_kind", "chat, image, embedding", kind="video"),
    _json("id of 5,000 characters", "invalid_id", "1 to 128", kept=False, id="x" * 5_000),
    _json("id with control characters", "invalid_id", "characters of", kept=False, id="a\x07\x00b"),
    _json("id is a number", "invalid_id", "must be text", kept=False, id=7),
    _json("id is a place", "reserved_id", "two numbers", kept=False, id="3-17"),
)

_GOOD = b'{"id": "bad-%b", "prompt": "hi"}'
_HEADERS = (
    Bad(
        "traceparent is not UTF-8",
        _GOOD % b"traceparent",
        "invalid_header",
        "'traceparent'",
        "bad-traceparent",
        (("traceparent", b"\xff\xfe"),),
    ),
    Bad(
        "ce_id is not UTF-8",
        b"hello",
        "invalid_header",
        "'ce_id'",
        headers=(("ce_id", b"\xc3\x28"),),
    ),
    Bad(
        "reply-partition is no number",
        _GOOD % b"reply-text",
        "invalid_reply_partition",
        "decimal",
        "bad-reply-text",
        (("reply-partition", b"one"),),
    ),
    Bad(
        "reply-partition is not there",
        _GOOD % b"reply-far",
        "invalid_reply_partition",
        "from 0 to 3",
        "bad-reply-far",
        (("reply-partition", b"99"),),
    ),
    Bad(
        "ce_id serves where the value has none",
        b"{",
        "invalid_json",
        "broken",
        "bad-by-ce-id",
        (("ce_id", b"bad-by-ce-id"), ("x-own", b"\xff\x00")),
    ),
)

BAD = (*_NOT_JSON, *_FIELDS, *_HEADERS)
