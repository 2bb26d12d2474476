"""Gemini's streams: cut anywhere they give the same answer, and one without an end gives none."""

import contextlib
import itertools
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat.chat_completion_chunk import ChoiceDelta

from broker.records.usage import Usage
from tests.workers.building import work
from tests.workers.providers.test_gemini_reply import candidate, read
from workers.providers.dialect import (
    Answer,
    CutStreamError,
    ErrorReply,
    MalformedReplyError,
    Piece,
)
from workers.providers.gemini_stream import GeminiAssembler

WORK = work("p")
HEAD = {"responseId": "r-1", "modelVersion": "m", "createTime": "2026-11-26T12:00:00Z"}
COUNTED = {"promptTokenCount": 3, "candidatesTokenCount": 4, "thoughtsTokenCount": 5}


def event(*candidates: Any, **given: Any) -> bytes:
    chunk = {"candidates": list(candidates), **HEAD, **given}
    return b"data: " + orjson.dumps(chunk) + b"\r\n\r\n"


def usage(**given: Any) -> bytes:
    return b"data: " + orjson.dumps({"usageMetadata": {**COUNTED, **given}, **HEAD}) + b"\r\n\r\n"


CALL = {"functionCall": {"name": "look", "args": {"city": "Köln"}}}
ENDED = event(candidate("🎈", finish="STOP"), usageMetadata=COUNTED)
WHOLE = b"".join(
    (
        b": hello\r\n\r\n",
        event(candidate({"text": "Hm.", "thought": True}, finish=None)),
        event(candidate("Grüße ", finish=None), usageMetadata={"promptTokenCount": 3}),
        event(candidate("an die 世界 ", "& ", finish=None)),
        event(candidate(CALL, finish=None)),
        event(candidate({"text": ""}, {"text": "", "thoughtSignature": "x"}, finish=None)),
        event(candidate("🎈", finish="STOP")),
        usage(),
    )
)
ERROR = orjson.dumps(
    {"error": {"code": 503, "message": "Busy.", "status": "UNAVAILABLE"}},
    option=orjson.OPT_INDENT_2,
)


def assembled(parts: list[bytes]) -> tuple[Answer, list[Piece]]:
    assembler = GeminiAssembler(WORK)
    pieces = [piece for part in parts for piece in assembler.feed(part)]
    return assembler.answer(), pieces


def split_at(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


class TestSplits:
    def test_every_place_to_cut_once(self) -> None:
        expected = assembled([WHOLE])
        answer, pieces = expected
        assert answer.text == "Grüße an die 世界 & 🎈"
        assert answer.usage == Usage(3, 9, 0, 5)
        assert answer.finish_reason == pieces[-1].finish_reason == "tool_calls"
        assert pieces[0].delta == {"role": "assistant", "reasoning_content": "Hm."}
        for piece in pieces:
            ChoiceDelta.model_validate(piece.delta)
        for at in range(len(WHOLE) + 1):
            assert assembled([WHOLE[:at], WHOLE[at:]]) == expected

    @given(
        cuts=st.lists(st.integers(0, 10_000), max_size=40),
        end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    )
    def test_any_cuts_any_line_ends(self, cuts: list[int], end: bytes) -> None:
        data = WHOLE.replace(b"\r\n", end)
        assert assembled(split_at(data, cuts)) == assembled([WHOLE])

    def test_a_stream_is_what_would_have_come_at_once(self) -> None:
        at_once = candidate(
            {"text": "Hm.", "thought": True}, "Grüße an die 世界 & 🎈", CALL, finish="STOP"
        )
        whole = read({"candidates": [at_once], "usageMetadata": COUNTED, **HEAD}, prompt_id="p")
        assert assembled([WHOLE])[0] == whole

    @given(cuts=st.lists(st.integers(0, 10_000), max_size=8))
    def test_an_error_cut_anywhere(self, cuts: list[int]) -> None:
        for body in (ERROR, b"[" + ERROR + b"]", b"data: " + orjson.dumps(orjson.loads(ERROR))):
            data = event(candidate("par", finish=None)) + body
            with pytest.raises(ErrorReply) as caught:
                assembled(split_at(data, cuts))
            assert (caught.value.status, caught.value.code) == (503, "UNAVAILABLE")


class TestEnds:
    def test_a_usage_may_come_after_the_end(self) -> None:
        assembler = GeminiAssembler(WORK)
        early = {"promptTokenCount": 3, "totalTokenCount": 3}
        assembler.feed(event(candidate("a", finish=None), usageMetadata=early))
        assembler.feed(event(candidate("b", finish="STOP")))
        assert not assembler.ended
        assert assembler.usage == Usage(3, 0)
        assembler.feed(usage())
        assert assembler.ended
        assert assembler.answer().usage == Usage(3, 9, 0, 5)

    def test_the_body_may_end_without_a_usage(self) -> None:
        answer, _ = assembled([event(candidate("a"))])
        assert (answer.text, answer.usage) == ("a", Usage())

    def test_what_follows_the_end_is_not_read(self) -> None:
        for rest in ([ENDED + b"data: {"], [ENDED, b"data: x\n\n"], [ENDED + b"data: x\n\n"]):
            assert assembled(rest)[0].text == "🎈"

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            event(candidate("a", finish=None)),
            event(candidate("a", finish="FINISH_REASON_UNSPECIFIED")),
            ENDED[:-2],
            event(),
            event(candidate("a", finish=None)) + usage(),
            event(candidate("a", finish=None)) + b'{"error": {"code": 5',
            event(candidate("a", finish=None)) + b"data: [DONE",
        ],
    )
    def test_a_cut_stream_is_no_answer(self, data: bytes) -> None:
        with pytest.raises(CutStreamError):
            assembled([data])

    def test_a_blocked_prompt(self) -> None:
        blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": COUNTED}
        assembler = GeminiAssembler(WORK)
        assert not assembler.feed(b"data: " + orjson.dumps(blocked) + b"\n\n")
        assert assembler.ended
        answer = assembler.answer()
        assert (answer.refusal, answer.text) == ("content_filter", None)
        assert answer.notes == {"block_reason": "SAFETY"}

    def test_an_answer_that_is_stopped_in_the_middle(self) -> None:
        answer, pieces = assembled(
            [event(candidate("par", finish=None)), event({"finishReason": "SAFETY"}), usage()]
        )
        assert (answer.text, answer.refusal) == ("par", "answer_filtered")
        assert pieces[-1] == Piece(0, {}, "content_filter")

    def test_an_end_without_an_answer_is_an_error_whose_tokens_are_counted(self) -> None:
        assembler = GeminiAssembler(WORK)
        ended = {"finishReason": "MALFORMED_FUNCTION_CALL"}
        with pytest.raises(ErrorReply) as caught:
            assembler.feed(event(ended, usageMetadata=COUNTED))
        assert caught.value.code == "MALFORMED_FUNCTION_CALL"
        assert assembler.usage == Usage(3, 9, 0, 5)


class TestGarbage:
    @pytest.mark.parametrize(
        "data",
        [
            b"data: {\n\n",
            b"data: 7\n\n",
            b"data: \xff\xfe\n\n",
            b"data: [DONE]\n\n",
            event(7),
            event(candidate({"text": 7}, finish=None)),
            event(candidate("x", index=64)),
            b"no event\n" * 9_000,
        ],
    )
    def test_what_is_no_chunk_is_malformed(self, data: bytes) -> None:
        with pytest.raises(MalformedReplyError):
            assembled([data])

    @given(
        parts=st.lists(
            st.binary(max_size=40)
            | st.sampled_from([WHOLE[:99], ENDED, ERROR, b"data: ", b"\n", b"\r", b"}", b"["]),
            max_size=12,
        )
    )
    def test_garbage_raises_only_our_own_errors(self, parts: list[bytes]) -> None:
        with contextlib.suppress(CutStreamError, ErrorReply, MalformedReplyError):
            assembled(parts)

    @given(
        chunk=st.recursive(
            st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(
                        [
                            *("candidates", "content", "parts", "text", "finishReason", "index"),
                            *("functionCall", "name", "args", "inlineData", "data", "mimeType"),
                            *("promptFeedback", "blockReason", "usageMetadata", "error"),
                            *("logprobsResult", "chosenCandidates", "topCandidates", "createTime"),
                        ]
                    ),
                    inner,
                    max_size=4,
                )
            ),
            max_leaves=25,
        )
    )
    def test_json_of_any_shape_raises_only_our_own_errors(self, chunk: Any) -> None:
        wrapped = {"candidates": [chunk], "usageMetadata": chunk}
        for data in (chunk, wrapped):
            with contextlib.suppress(CutStreamError, ErrorReply, MalformedReplyError):
                assembled([b"data: " + orjson.dumps(data) + b"\n\n"])
