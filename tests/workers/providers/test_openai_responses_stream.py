"""A streamed response cut anywhere is one chat completion, and one that has not ended is none."""

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.settings.providers import ProviderSettings, ServedModel
from tests.wire.openai_responses_prompts import RESPONSE, RESPONSE_STREAM, stream_events
from tests.workers.building import work
from tests.workers.providers.stream_joining import (
    assembled,
    event,
    odd_json,
    same_pieces,
    split_at,
    survives,
)
from workers.providers.dialect import CutStreamError, ErrorReply, MalformedReplyError, Reply
from workers.providers.openai import OpenAI
from workers.providers.openai_responses_stream import ResponseAssembler

ADAPTER = OpenAI(ProviderSettings(models={"chat-small": ServedModel(name="m", api="responses")}))
NAMES = (
    *("type", "response", "item", "output_index", "delta", "output", "content", "text", "error"),
    *("usage", "input_tokens_details", "cached_tokens", "call_id", "name", "arguments", "status"),
    *("response.output_text.delta", "response.output_item.added", "response.completed", "message"),
    *("function_call", "response.function_call_arguments.delta", "response.failed", "reasoning"),
    *("incomplete", "completed", "incomplete_details", "reason", "annotations", "code"),
)


def ending(kind: str, **changed: Any) -> bytes:
    """The stream with another last event."""
    last = {"type": f"response.{kind}", "response": {**RESPONSE, **changed}}
    return b"".join(map(event, [*stream_events()[:-1], last]))


class TestSplits:
    def test_every_place_to_cut_once_gives_what_a_whole_reply_gives(self) -> None:
        whole = ADAPTER.answer(work(), Reply(200, {}, orjson.dumps(RESPONSE)))
        assert whole.text == "Yes."
        for at in range(len(RESPONSE_STREAM) + 1):
            parts = [RESPONSE_STREAM[:at], RESPONSE_STREAM[at:]]
            answer, pieces = assembled(ResponseAssembler(), parts)
            assert answer == whole
            assert len(pieces) == 7
            if at == 0:
                same_pieces(answer, pieces)

    @given(cuts=st.lists(st.integers(0, 10_000), max_size=40))
    def test_any_cuts(self, cuts: list[int]) -> None:
        expected = assembled(ResponseAssembler(), [RESPONSE_STREAM])
        assert assembled(ResponseAssembler(), split_at(RESPONSE_STREAM, cuts)) == expected

    @given(texts=st.lists(st.text(max_size=9), min_size=1, max_size=9))
    def test_any_text_comes_out_as_it_went_in(self, texts: list[str]) -> None:
        response = copy.deepcopy(RESPONSE)
        response["output"] = response["output"][1:2]
        response["output"][0]["content"][0]["text"] = "".join(texts)
        deltas = [{"type": "response.output_text.delta", "delta": text} for text in texts]
        data = [*deltas, {"type": "response.completed", "response": response}]
        answer, pieces = assembled(ResponseAssembler(), list(map(event, data)))
        assert answer.text == "".join(texts)
        assert "".join(piece.delta.get("content", "") for piece in pieces) == answer.text


class TestEnds:
    def test_it_begins_with_the_first_text_and_ends_with_the_whole_response(self) -> None:
        assembler = ResponseAssembler()
        events = list(map(event, stream_events()))
        assembler.feed(b"".join(events[:3]))
        assert not assembler.begun
        assembler.feed(events[3])
        assert assembler.begun
        assembler.feed(b"".join(events[4:-1]))
        assert not assembler.ended
        assembler.feed(events[-1] + b"data: {\n\n")
        assert assembler.ended

    @pytest.mark.parametrize("kept", [0, 1, 7, 14])
    def test_without_its_last_event_it_is_cut(self, kept: int) -> None:
        data = b"".join(map(event, stream_events()[:kept])) + b"data: [DONE]\n\n"
        with pytest.raises(CutStreamError):
            assembled(ResponseAssembler(), [data])

    @pytest.mark.parametrize(
        ("reason", "finished", "refusal"),
        [
            ("max_output_tokens", "length", None),
            ("content_filter", "content_filter", "answer_filtered"),
            (None, "length", None),
        ],
    )
    def test_incomplete_says_why(
        self, reason: str | None, finished: str, refusal: str | None
    ) -> None:
        data = ending("incomplete", status="incomplete", incomplete_details={"reason": reason})
        answer, pieces = assembled(ResponseAssembler(), [data])
        assert (answer.finish_reason, answer.refusal) == (finished, refusal)
        assert pieces[-1].finish_reason == finished

    def test_a_response_that_failed_has_its_code_and_its_usage(self) -> None:
        error = {"code": "rate_limit_exceeded", "message": "Slow down."}
        assembler = ResponseAssembler()
        with pytest.raises(ErrorReply) as caught:
            assembler.feed(ending("failed", status="failed", error=error))
        assert (caught.value.code, caught.value.message) == (error["code"], error["message"])
        assert assembler.usage.input_tokens == 3
        with pytest.raises(ErrorReply) as caught:
            ResponseAssembler().feed(ending("failed", status="failed", error=None))
        assert caught.value.code == "server_error"

    @pytest.mark.parametrize(
        "told",
        [
            {"type": "error", "code": "server_is_overloaded", "message": "m", "param": None},
            {"type": "error", "error": {"code": "server_is_overloaded", "message": "m"}},
            {"error": {"code": "server_is_overloaded", "message": "m"}},
        ],
    )
    def test_an_error_in_the_middle(self, told: dict[str, Any]) -> None:
        with pytest.raises(ErrorReply) as caught:
            ResponseAssembler().feed(event(stream_events()[0]) + event(told))
        assert (caught.value.code, caught.value.message) == ("server_is_overloaded", "m")

    def test_an_error_without_a_code_is_the_servers_and_a_number_a_status(self) -> None:
        for code, status, named in ((None, 200, "server_error"), (400, 400, None)):
            with pytest.raises(ErrorReply) as caught:
                ResponseAssembler().feed(event({"type": "error", "code": code, "message": "m"}))
            assert (caught.value.status, caught.value.code) == (status, named)

    def test_items_that_the_last_event_leaves_out_are_those_told_before(self) -> None:
        answer, pieces = assembled(ResponseAssembler(), [ending("completed", output=[])])
        assert answer.text == "Yes."
        same_pieces(answer, pieces)

    def test_a_refusal(self) -> None:
        told = [{"type": "response.refusal.delta", "delta": text} for text in ("I ", "cannot.")]
        item = {"type": "message", "content": [{"type": "refusal", "refusal": "I cannot."}]}
        last = {"type": "response.completed", "response": {**RESPONSE, "output": [item]}}
        answer, pieces = assembled(ResponseAssembler(), list(map(event, [*told, last])))
        assert (answer.refusal, answer.text) == ("model_refusal", None)
        same_pieces(answer, pieces)

    def test_the_adapter_reads_streams_of_such_models_so(self) -> None:
        assert isinstance(ADAPTER.assembler(work()), ResponseAssembler)
        assert not isinstance(ADAPTER.assembler(work(model="other")), ResponseAssembler)


class TestGarbage:
    @pytest.mark.parametrize(
        "data",
        [
            *(b"{", b"[]", b"null", b'"x"', b"\xff", b"{}", b'{"type": 7}'),
            b'{"type": "response.output_text.delta"}',
            b'{"type": "response.output_text.delta", "delta": 7}',
            b'{"type": "response.output_item.added", "item": 7}',
            b'{"type": "response.output_item.added", "item": {"type": "function_call"}}',
            b'{"type": "response.function_call_arguments.delta", "delta": "x", "output_index": 5}',
            b'{"type": "response.output_item.done", "output_index": []}',
            b'{"type": "response.completed"}',
            b'{"type": "response.completed", "response": []}',
            b'{"type": "response.completed", "response": {"output": [7]}}',
            b'{"type": "response.failed", "response": 7}',
        ],
    )
    def test_what_is_no_event_is_malformed(self, data: bytes) -> None:
        with pytest.raises(MalformedReplyError):
            ResponseAssembler().feed(b"data: " + data + b"\n\n")

    @given(st.lists(odd_json(*NAMES), max_size=4))
    def test_no_events_whatever_break_it_in_another_way(self, data: list[Any]) -> None:
        survives(ResponseAssembler, list(map(event, data)))

    @given(odd_json(*NAMES), st.sampled_from(range(15)), st.sampled_from(NAMES))
    def test_no_event_that_is_nearly_right_does(self, odd: Any, place: int, name: str) -> None:
        events: list[Any] = copy.deepcopy(stream_events())
        for holder in (events[place], events[place].get("item"), events[place].get("response")):
            if isinstance(holder, dict) and name in holder:
                holder[name] = odd
        survives(ResponseAssembler, list(map(event, events)))

    @given(st.binary(max_size=200))
    def test_no_bytes_do(self, data: bytes) -> None:
        survives(ResponseAssembler, [data, b"data: " + data + b"\n\n"])
