"""The pieces of a streamed chat are the same whatever the cuts, and tell the whole answer."""

import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.workers.local_provider import DONE, USAGE, chunk
from tests.workers.providers.stream_joining import (
    assembled,
    event,
    odd_json,
    same_pieces,
    split_at,
    survives,
)
from workers.providers.openai_stream import ChatAssembler

NAMES = (
    *("choices", "delta", "index", "content", "tool_calls", "function", "arguments", "name", "x"),
    *("finish_reason", "usage", "error", "logprobs", "role", "refusal", "prompt_tokens_details"),
    *("cached_tokens", "object", "completion_tokens_details", "code", "message"),
)


def choice(index: int, finish: str | None = None, **delta: Any) -> bytes:
    return chunk(choices=[{"index": index, "delta": delta, "finish_reason": finish}])


def called(index: int, place: int, **piece: Any) -> bytes:
    return choice(index, tool_calls=[{"index": place, **piece}])


WHOLE = b"".join(
    (
        chunk(choices=[], prompt_filter_results=[]),
        choice(0, role="assistant", content=""),
        choice(1, role="assistant", content=""),
        choice(0, reasoning_content="Hm, 世"),
        choice(0, reasoning_content="界."),
        choice(1, content="Grüße 🎈"),
        choice(0, content="I will look."),
        called(0, 0, id="a", type="function", function={"name": "f", "arguments": ""}),
        called(0, 0, function={"arguments": '{"x": '}),
        called(0, 1, id="b", type="function", function={"name": "g", "arguments": "{}"}),
        called(0, 0, function={"arguments": "1}"}),
        choice(1, "length", content="!"),
        choice(0, "tool_calls"),
        USAGE,
        DONE,
    )
)


def test_every_place_to_cut_tells_the_same_pieces() -> None:
    answer, pieces = assembled(ChatAssembler(2), [WHOLE])
    assert [one["finish_reason"] for one in answer.body["choices"]] == ["tool_calls", "length"]
    assert [piece.finish_reason for piece in pieces].count(None) == len(pieces) - 2
    same_pieces(answer, pieces)
    for at in range(len(WHOLE) + 1):
        assert assembled(ChatAssembler(2), [WHOLE[:at], WHOLE[at:]]) == (answer, pieces)


@given(st.lists(st.integers(0, 100_000), max_size=60))
def test_any_cuts_tell_the_same_pieces(cuts: list[int]) -> None:
    assert assembled(ChatAssembler(2), split_at(WHOLE, cuts)) == assembled(
        ChatAssembler(2), [WHOLE]
    )


@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=6)), max_size=20))
def test_choices_in_any_order_are_told_as_they_come(said: list[tuple[int, str]]) -> None:
    parts = [choice(index, content=text) for index, text in said]
    ends = [choice(index, "stop") for index in range(3)]
    answer, pieces = assembled(ChatAssembler(3), [*parts, *ends, DONE])
    same_pieces(answer, pieces)
    for index in range(3):
        told = "".join(text for place, text in said if place == index)
        assert (answer.body["choices"][index]["message"]["content"] or "") == told


def test_speech_and_a_function_called_the_old_way_are_joined() -> None:
    parts = [
        choice(0, audio={"id": "a", "transcript": "Be"}, function_call={"name": "f"}),
        choice(0, audio={"data": "QQ==", "transcript": "cause."}),
        choice(0, audio={"data": "Qg==", "expires_at": 7}, function_call={"arguments": '{"x'}),
        choice(0, function_call={"arguments": '": 1}', "name": None}),
        choice(0, "stop"),
    ]
    message = assembled(ChatAssembler(1), parts)[0].body["choices"][0]["message"]
    assert message["audio"] == {
        "id": "a",
        "transcript": "Because.",
        "data": "QQ==Qg==",
        "expires_at": 7,
    }
    assert message["function_call"] == {"name": "f", "arguments": '{"x": 1}'}


@pytest.mark.parametrize("details", [7, "x", [1], {"cached_tokens": "x"}, {"cached_tokens": -1}])
@pytest.mark.parametrize("name", ["prompt_tokens_details", "completion_tokens_details"])
def test_details_of_a_usage_that_are_none_do_not_stop_an_answer(name: str, details: Any) -> None:
    usage = {"prompt_tokens": 6, "completion_tokens": 4, name: details}
    parts = [chunk("x", "stop"), chunk(choices=[], usage=usage), DONE]
    answer, _ = assembled(ChatAssembler(1), parts)
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (6, 4)
    assert (answer.usage.cached_input_tokens, answer.usage.reasoning_tokens) == (0, 0)


def test_the_usage_so_far_is_known_of_a_stream_that_is_cut() -> None:
    assembler = ChatAssembler(1)
    usage = {"prompt_tokens": 6, "completion_tokens": 2}
    assembler.feed(chunk("x", usage=usage))
    assert (assembler.usage.input_tokens, assembler.usage.output_tokens) == (6, 2)


class TestGarbage:
    @given(st.lists(odd_json(*NAMES), max_size=4))
    def test_no_chunks_whatever_break_it(self, data: list[Any]) -> None:
        survives(lambda: ChatAssembler(1), [*map(event, data), chunk("x", "stop")])

    @given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
    def test_no_bytes_do(self, data: bytes, cuts: list[int]) -> None:
        survives(lambda: ChatAssembler(1), split_at(data, cuts))
        survives(lambda: ChatAssembler(1), split_at(b"data: " + data + b"\n\n", cuts))

    @given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=3))
    def test_no_change_in_a_good_stream_does(self, at: int, data: bytes) -> None:
        survives(lambda: ChatAssembler(2), [WHOLE[:at] + data + WHOLE[at + len(data) :]])

    @given(odd_json(*NAMES), st.sampled_from(NAMES))
    def test_no_field_of_another_type_does(self, odd: Any, name: str) -> None:
        parts = WHOLE.split(b"\n\n")
        changed = []
        for part in itertools.islice(parts, len(parts) - 2):
            data = orjson.loads(part.removeprefix(b"data: "))
            put(data, name, odd)
            changed.append(event(data))
        survives(lambda: ChatAssembler(2), changed)


def put(data: Any, name: str, odd: Any) -> None:
    """Put something odd wherever a field of this name stands."""
    for inner in data.values() if isinstance(data, dict) else data:
        if isinstance(inner, dict | list):
            put(inner, name, odd)
    if isinstance(data, dict) and name in data:
        data[name] = odd
