"""Filling a window must read the very id that deciding read, or a good prompt could be dropped."""

import orjson
import pytest

from broker.classifier.header_names import all_writable
from broker.classifier.identity import identifier
from broker.records.incoming import Headers, InputRecord
from broker.records.parsing import parse_prompt
from broker.records.prompt import Catalog

CATALOG = Catalog(
    models={"chat-small": "chat"},
    default_models={"chat": "chat-small"},
    providers={"chat-small": ("openai",)},
    completion_partitions=4,
)
VALUES: tuple[bytes | None, ...] = (
    None,
    b"",
    b"  ",
    b"plain text",
    b"{",
    b'{"id":"a"}',
    b' {"id":"a","prompt":"x"}',
    b'{"id":"a","prompt":"x"}',
    b'{"id":"a","id":"b","prompt":"x"}',
    b'{"id":"a","prompt":"x","prompt":"y"}',
    b'{"id":"a","n":NaN}',
    b'{"id":"a","prompt":"\xff"}',
    b'{"id":5,"prompt":"x"}',
    b'{"id":"3-4","prompt":"x"}',
    b'{"id":"' + b"a" * 129 + b'","prompt":"x"}',
    b'{"id":"a\\u0000","prompt":"x"}',
    b'{"id":"a","x":' + b"[" * 200 + b"]" * 200 + b"}",
    b'{"id":"a","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    b'[{"id":"a"}]',
    b"\xff\xfe",
    orjson.dumps({"prompt": "no id"}),
    orjson.dumps({"id": "a", "model": "unknown", "prompt": "x"}),
)
HEADERS: tuple[Headers, ...] = (
    (),
    (("x", b"1"),),
    (("ce_id", b"event"),),
    (("ce_id", b"\xff"),),
    (("ce_id", b"3-4"),),
    (("ce_id", b"event"), ("reply-partition", b"9")),
    (("reply-partition", b"nine"),),
    (("traceparent", b"\xff"),),
    (("content-type", b"application/json"),),
    (("weighbridge-origin", b"3-4"), ("weighbridge-accepted-at", b"2026-01-01T00:00:00Z")),
    (("b\udcffd", b"1"), ("ce_id", b"event")),
)


@pytest.mark.parametrize("headers", HEADERS)
@pytest.mark.parametrize("value", VALUES)
def test_the_quick_way_reads_the_id_that_parsing_reads(
    value: bytes | None, headers: Headers
) -> None:
    believed = headers if all_writable(headers) else ()
    prompt = parse_prompt(InputRecord("t", 3, 41, 0.0, None, value, believed), CATALOG)
    expected = prompt.id if prompt.explicit_id else None
    assert identifier(CATALOG)(value, headers) == expected
