"""Streams cut anywhere give the same answer, and one that is not whole gives none."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.settings.providers import ProviderSettings
from tests.workers.building import work
from tests.workers.local_provider import DONE, USAGE, chunk
from tests.workers.providers.stream_joining import split_at
from workers.providers.dialect import Answer, CutStreamError, ErrorReply, MalformedReplyError
from workers.providers.openai import OpenAI
from workers.providers.openai_stream import ChatAssembler

WHOLE = b"".join(
    (
        chunk(choices=[{"index": 0, "delta": {"role": "assistant", "content": ""}}], created=5),
        chunk("Grüße "),
        b": a comment\r\n\r\n",
        b"event: message\nid: 7\n",
        chunk("an die 世界 "),
        chunk("🎈"),
        chunk(finish="stop"),
        USAGE,
        DONE,
    )
)
TEXT = "Grüße an die 世界 🎈"


def assembled(parts: list[bytes], wanted: int = 1) -> Answer:
    assembler = ChatAssembler(wanted)
    for part in parts:
        assembler.feed(part)
    return assembler.answer()


def choice(index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
    return chunk(choices=[{"index": index, "delta": delta, "finish_reason": finish}])


class TestSplits:
    def test_every_place_to_cut_once(self) -> None:
        expected = assembled([WHOLE])
        assert (expected.text, expected.usage.input_tokens, expected.usage.output_tokens) == (
            TEXT,
            6,
            4,
        )
        assert expected.body["created"] == 5
        assert expected.body["object"] == "chat.completion"
        for at in range(len(WHOLE) + 1):
            assert assembled([WHOLE[:at], WHOLE[at:]]) == expected

    def test_byte_by_byte(self) -> None:
        assert assembled([bytes((byte,)) for byte in WHOLE]).text == TEXT

    @given(
        cuts=st.lists(st.integers(0, 10_000), max_size=40),
        end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
        bom=st.booleans(),
    )
    def test_any_cuts_any_line_ends(self, cuts: list[int], end: bytes, *, bom: bool) -> None:
        data = WHOLE.replace(b"\r\n", b"\n").replace(b"\n", end)
        if bom:
            data = b"\xef\xbb\xbf" + data
        assert assembled(split_at(data, cuts)) == assembled([WHOLE])

    @given(
        texts=st.lists(st.text(max_size=9), max_size=9),
        cuts=st.lists(st.integers(0, 10_000), max_size=20),
    )
    def test_any_text_comes_out_as_it_went_in(self, texts: list[str], cuts: list[int]) -> None:
        data = b"".join((*map(chunk, texts), chunk(finish="stop"), DONE))
        got = assembled(split_at(data, cuts)).text
        assert (got or "") == "".join(texts)

    def test_data_over_several_lines_is_one_event(self) -> None:
        data = b'data: {"choices":\ndata: [{"index": 0, "delta": {"content": "x"},\n'
        data += b'data: "finish_reason": "stop"}]}\n\n'
        assert assembled([data]).text == "x"


class TestContent:
    def test_two_choices_that_come_in_turns(self) -> None:
        parts = [
            choice(1, {"content": "b1 "}),
            choice(0, {"content": "a1 "}),
            choice(1, {"content": "b2"}, "stop"),
            choice(0, {"content": "a2"}),
            choice(0, {}, "length"),
            DONE,
        ]
        got = assembled(parts, 2)
        texts = [one["message"]["content"] for one in got.body["choices"]]
        assert (got.text, texts, got.finish_reason) == ("a1 a2", ["a1 a2", "b1 b2"], "length")

    def test_a_choice_that_never_came_means_the_answer_is_cut(self) -> None:
        with pytest.raises(CutStreamError, match="1 of 2"):
            assembled([choice(0, {"content": "a"}, "stop"), DONE], 2)

    @pytest.mark.parametrize(("n", "wanted"), [(2, 2), (None, 1), (0, 1), ("two", 1), ([], 1)])
    def test_an_odd_number_of_choices_does_not_stop_it(self, n: object, wanted: int) -> None:
        assembler = OpenAI(ProviderSettings()).assembler(work(fields={"n": n}))
        for index in range(wanted):
            assembler.feed(choice(index, {"content": "a"}, "stop"))
        assert len(assembler.answer().body["choices"]) == wanted

    def test_tool_calls_are_put_together_by_their_index(self) -> None:
        def call(index: int, **piece: Any) -> bytes:
            return choice(0, {"tool_calls": [{"index": index, **piece}]})

        got = assembled(
            [
                call(0, id="c0", type="function", function={"name": "f", "arguments": ""}),
                call(1, id="c1", type="function", function={"name": "g", "arguments": '{"b'}),
                call(0, function={"arguments": '{"a":'}),
                call(1, function={"arguments": '": 2}'}),
                call(0, function={"arguments": " 1}"}),
                choice(0, {}, "tool_calls"),
                DONE,
            ]
        )
        assert (got.text, got.finish_reason) == (None, "tool_calls")
        assert got.body["choices"][0]["message"]["tool_calls"] == [
            {"id": "c0", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}},
            {"id": "c1", "type": "function", "function": {"name": "g", "arguments": '{"b": 2}'}},
        ]

    def test_lists_and_objects_of_other_names_are_kept(self) -> None:
        parts = [
            choice(0, {"annotations": [{"url": "a"}], "reasoning_content": "Hm, "}),
            choice(0, {"annotations": [{"url": "b"}], "audio": {"id": "x"}, "tags": ["p"]}),
            choice(0, {"content": "x", "reasoning_content": "yes."}, "stop"),
            DONE,
        ]
        message = assembled(parts).body["choices"][0]["message"]
        assert message == {
            "role": "assistant",
            "content": "x",
            "annotations": [{"url": "a"}, {"url": "b"}],
            "reasoning_content": "Hm, yes.",
            "audio": {"id": "x"},
            "tags": ["p"],
        }

    def test_a_refusal_that_is_streamed(self) -> None:
        parts = [choice(0, {"refusal": "I "}), choice(0, {"refusal": "cannot."}, "stop"), DONE]
        got = assembled(parts)
        assert (got.refusal, got.text) == ("model_refusal", None)
        assert got.body["choices"][0]["message"]["refusal"] == "I cannot."

    def test_an_answer_that_was_filtered_at_its_end(self) -> None:
        got = assembled([chunk("Well, "), chunk(finish="content_filter"), DONE])
        assert got.refusal == "answer_filtered"

    def test_log_probabilities_are_kept(self) -> None:
        parts = [
            chunk(choices=[{"index": 0, "delta": {"content": t}, "logprobs": {"content": [t]}}])
            for t in "ab"
        ]
        got = assembled([*parts, chunk(finish="stop"), DONE])
        assert got.body["choices"][0]["logprobs"] == {"content": ["a", "b"]}

    def test_azures_first_chunk_without_choices(self) -> None:
        got = assembled([chunk(choices=[], prompt_filter_results=[1]), chunk("x", "stop"), DONE])
        assert got.text == "x"

    def test_the_first_token_is_the_first_content(self) -> None:
        assembler = ChatAssembler(1)
        assembler.feed(choice(0, {"role": "assistant", "content": ""}))
        assert not assembler.begun
        assembler.feed(chunk("x"))
        assert assembler.begun
        assert not assembler.ended
        assembler.feed(DONE)
        assert assembler.ended

    def test_a_whole_answer_without_done_counts(self) -> None:
        assert assembled([chunk("x"), chunk(finish="stop")]).text == "x"

    def test_nothing_after_done_is_read(self) -> None:
        assert assembled([chunk("x", "stop"), DONE + chunk("y") + b"data: {\n\n"]).text == "x"


class TestFailures:
    @pytest.mark.parametrize(
        "data",
        [b"", chunk("x"), chunk("x") + DONE, DONE, chunk("x")[:-1], chunk("x", "stop")[:-2]],
    )
    def test_a_stream_that_ends_early_is_no_answer(self, data: bytes) -> None:
        with pytest.raises(CutStreamError):
            assembled([data])

    def test_an_error_in_the_middle(self) -> None:
        bad = b'data: {"error": {"code": "server_is_overloaded", "message": "m"}}\n\n'
        with pytest.raises(ErrorReply) as caught:
            assembled([chunk("x"), bad])
        assert (caught.value.status, caught.value.code) == (200, "server_is_overloaded")

    @pytest.mark.parametrize(
        "event",
        [
            b"{",
            b"[]",
            b"null",
            b'"x"',
            b"\xff",
            b'{"choices": 7}',
            b'{"choices": [7]}',
            b'{"choices": [{"index": -1, "delta": {}}]}',
            b'{"choices": [{"index": 1000000000, "delta": {}}]}',
            b'{"choices": [{"index": "0", "delta": {}}]}',
            b'{"choices": [{"index": true, "delta": {}}]}',
            b'{"choices": [{"delta": "x"}]}',
            b'{"choices": [{"delta": {"tool_calls": 7}}]}',
            b'{"choices": [{"delta": {"tool_calls": [{}]}}]}',
            b'{"choices": [{"delta": {"tool_calls": [{"index": 0, "function": 7}]}}]}',
            b'{"choices": [{"delta": {}, "logprobs": 7}]}',
        ],
    )
    def test_what_is_no_chunk_is_malformed(self, event: bytes) -> None:
        with pytest.raises(MalformedReplyError):
            assembled([b"data: " + event + b"\n\n"])

    @pytest.mark.parametrize(
        "delta",
        [
            {"content": 7},
            {"content": ["x"]},
            {"content": {"a": 1}},
            {"tool_calls": [{"index": 0, "function": {"arguments": 7}}]},
            {"tool_calls": [{"index": 0, "function": {"arguments": ["x"]}}]},
        ],
    )
    def test_content_of_another_type_is_malformed_at_the_latest_at_the_end(
        self, delta: dict[str, Any]
    ) -> None:
        with pytest.raises(MalformedReplyError):
            assembled([chunk("x"), choice(0, delta), choice(0, {"content": "y"}, "stop"), DONE])
