"""The quick way to a record's id agrees with parsing the whole prompt."""

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.records.incoming import Headers, InputRecord
from broker.records.parsing import parse_prompt
from broker.records.prompt import Prompt
from broker.settings import load_settings
from broker.story.asked import asked

CATALOG = load_settings().catalog()
ids = st.sampled_from(["a1", "1-2", "", "x" * 129, "spaced out", "ok.:~-_", None, 7, ["a"]])
objects = st.fixed_dictionaries(
    {},
    optional={
        "id": ids,
        "prompt": st.sampled_from(["why", "", None, 3]),
        "deadline": st.sampled_from(["2026-11-24T14:00:00Z", "soon", 3]),
        "timeout_s": st.sampled_from([0, 5.5, -1, "x"]),
        "model": st.sampled_from(["chat-small", "none"]),
        "tenant": st.sampled_from(["acme", ""]),
    },
).map(orjson.dumps)
values = st.one_of(
    st.none(),
    objects,
    objects.map(lambda value: b" \n" + value),
    objects.map(lambda value: value[:-1]),
    st.just(b'{"id": "a1", "id": "a2", "prompt": "x"}'),
    st.just(b'{"id": "a1", "prompt": NaN}'),
    st.just(b'{"prompt": ' + b"[" * 200 + b"]" * 200 + b', "id": "a1"}'),
    st.binary(max_size=12),
    st.text(max_size=12).map(str.encode),
)
headers = st.lists(
    st.sampled_from(
        [
            ("ce_id", b"by-header"),
            ("ce_id", b"1-2"),
            ("ce_id", b"\xff"),
            ("content-type", b"application/json"),
            ("reply-partition", b"x"),
            ("weighbridge-origin", b"1-7"),
            ("weighbridge-accepted-at", b"2023-11-14T22:13:00Z"),
            ("other", b"\xff"),
        ]
    ),
    max_size=3,
).map(tuple)


@settings(deadline=None, max_examples=500)
@given(value=values, given_headers=headers)
def test_it_agrees_with_the_parser(value: bytes | None, given_headers: Headers) -> None:
    record = InputRecord("llm.prompts", 3, 41, 1_700_000_000.0, None, value, given_headers)
    prompt = parse_prompt(record, CATALOG)
    found = asked(record, CATALOG)
    assert (found.id, found.own_id) == (prompt.id, prompt.explicit_id)
    assert found.accepted_at == prompt.accepted_at
    assert found.deadline == (prompt.deadline if isinstance(prompt, Prompt) else None)
    assert (found.origin is None) == (record.header("weighbridge-origin") is None)
