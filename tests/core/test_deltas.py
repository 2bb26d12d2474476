"""Deltas that are joined or taken apart make the same message as before."""

from collections.abc import Sequence
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from broker.core.deltas import Delta, is_empty, join_deltas, split_delta
from tests.workers.local_provider import DONE, chunk
from workers.providers.openai_stream import ChatAssembler

texts = st.text(max_size=8)
pieces_of_calls = st.lists(
    st.fixed_dictionaries(
        {"index": st.integers(0, 2)},
        optional={
            "id": st.sampled_from(["call_1", "call_2"]),
            "type": st.just("function"),
            "function": st.fixed_dictionaries({}, optional={"name": texts, "arguments": texts}),
        },
    ),
    max_size=3,
)
deltas = st.fixed_dictionaries(
    {},
    optional={
        "role": st.just("assistant"),
        "content": st.none() | texts,
        "refusal": st.none() | texts,
        "reasoning_content": texts,
        "tool_calls": pieces_of_calls,
        "annotations": st.lists(st.integers(0, 9), max_size=3),
        "audio": st.none() | st.fixed_dictionaries({"id": texts}),
    },
)


def message(parts: Sequence[Delta]) -> Any:
    """What the assembler of streams makes of them."""
    assembler = ChatAssembler(1)
    for part in parts:
        assembler.feed(chunk(choices=[{"index": 0, "delta": part, "finish_reason": None}]))
    assembler.feed(chunk(finish="stop") + DONE)
    return assembler.answer().body["choices"]


@given(st.lists(deltas, min_size=1, max_size=6))
def test_what_is_joined_makes_the_same_message(parts: list[Delta]) -> None:
    before = orjson.dumps(parts)
    assert message([join_deltas(parts)]) == message(parts)
    assert orjson.dumps(parts) == before, "the assembler may hold them too"


@given(st.lists(deltas, min_size=2, max_size=6), st.integers(1, 5))
def test_it_makes_no_difference_in_how_many_turns_it_is_joined(
    parts: list[Delta], middle: int
) -> None:
    first, rest = parts[: min(middle, len(parts) - 1)], parts[min(middle, len(parts) - 1) :]
    assert message([join_deltas([join_deltas(first), *rest])]) == message(parts)


@given(deltas)
def test_what_is_taken_apart_makes_the_same_message(delta: Delta) -> None:
    halves = split_delta(delta)
    if halves is None:
        assert all(name == "role" or len(value or "") < 2 for name, value in delta.items())
    else:
        assert message(halves) == message([delta])
        assert all(orjson.dumps(half) != orjson.dumps(delta) for half in halves)


def test_a_role_alone_shows_nothing_and_a_letter_does() -> None:
    assert is_empty({})
    assert is_empty({"role": "assistant", "content": "", "refusal": None})
    assert not is_empty({"role": "assistant", "content": "W"})
    assert not is_empty({"tool_calls": [{"index": 0}]})
