"""Ollama's own API: what is asked in its words, and its lines as one chat completion."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.retries import Action, verdict
from broker.settings.providers import ProviderSettings, ServedModel
from tests.wire.openai_prompts import CALL, PNG_URL, SCHEMA, TOOL
from tests.workers.building import work
from tests.workers.providers.stream_joining import (
    assembled,
    odd_json,
    same_pieces,
    split_at,
    survives,
)
from workers.providers.dialect import (
    CannotExpressError,
    CutStreamError,
    ErrorReply,
    MalformedReplyError,
    Reply,
)
from workers.providers.ollama_stream import LineAssembler
from workers.providers.registry import adapter_for

ADAPTER = adapter_for(ProviderSettings(dialect="ollama"))
SERVED = ServedModel(name="qwen3:0.6b")
AT = "2026-11-26T12:00:00.5Z"
ASKED_TOOL = {"function": {"name": "weather", "arguments": {"city": "Graz"}}}


def lines(*objects: Any) -> bytes:
    return b"".join(orjson.dumps(each) + b"\n" for each in objects)


def said(**message: Any) -> dict[str, Any]:
    return {"model": "qwen3:0.6b", "created_at": AT, "message": message, "done": False}


LAST = {
    **said(role="assistant", content=""),
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 6,
    "eval_count": 4,
}
STREAM = lines(
    said(role="assistant", content="", thinking="Hm, "),
    said(role="assistant", content="", thinking="well."),
    said(role="assistant", content="Grüße "),
    said(role="assistant", content="世界 🎈"),
    LAST,
)


def body_of(kind: str = "chat", **fields: Any) -> dict[str, Any]:
    asked = work(kind=kind, fields=fields, stream=fields.get("stream", False))
    body: dict[str, Any] = orjson.loads(ADAPTER.request(asked, SERVED).body)
    return body


class TestRequests:
    def test_a_plain_prompt(self) -> None:
        request = ADAPTER.request(work(), SERVED)
        assert (request.path, request.streamed) == ("/api/chat", False)
        assert orjson.loads(request.body) == {
            "model": "qwen3:0.6b",
            "messages": [{"role": "user", "content": "Why is the sky blue?"}],
            "stream": False,
        }

    def test_openais_options_have_their_names_and_place(self) -> None:
        body = body_of(
            stream=True,
            max_output_tokens=9,
            stop="END",
            seed=7,
            temperature=0.5,
            options={"num_gpu": 1},
            keep_alive="5m",
            reasoning_effort="none",
            response_format={"type": "json_schema", "json_schema": SCHEMA},
            tools=[TOOL],
        )
        del body["messages"]
        assert body == {
            "model": "qwen3:0.6b",
            "stream": True,
            "options": {
                "num_gpu": 1,
                "num_predict": 9,
                "stop": ["END"],
                "seed": 7,
                "temperature": 0.5,
            },
            "keep_alive": "5m",
            "think": False,
            "format": SCHEMA["schema"],
            "tools": [TOOL],
        }
        assert body_of(response_format={"type": "json_object"})["format"] == "json"
        assert "tools" not in body_of(tools=[TOOL], tool_choice="none")

    def test_pictures_stand_beside_the_text_and_results_name_their_tool(self) -> None:
        picture = {"type": "image_url", "image_url": {"url": PNG_URL}}
        messages = [
            {"role": "developer", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "What?"}, picture]},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "Rain."},
        ]
        assert body_of(messages=messages)["messages"] == [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What?", "images": [PNG_URL.partition(",")[2]]},
            {"role": "assistant", "content": "", "tool_calls": [ASKED_TOOL]},
            {"role": "tool", "content": "Rain.", "tool_name": "weather"},
        ]

    def test_a_long_text_is_not_cut_in_silence(self) -> None:
        body = body_of("embedding", input=["a", "b"], dimensions=2)
        expected = {"input": ["a", "b"], "truncate": False, "dimensions": 2}
        assert body == {"model": "qwen3:0.6b", **expected}
        assert body_of("embedding", input="a", truncate=True)["truncate"] is True

    @pytest.mark.parametrize(
        "fields",
        [
            *({"n": 2}, {"logit_bias": {"1": 1}}, {"functions": [{}]}, {"audio": {}, "n": 3}),
            {"tools": [TOOL], "tool_choice": "required"},
            *(
                {"messages": [{"role": "user", "content": [part]}]}
                for part in (
                    {"type": "image_url", "image_url": {"url": "https://x/a.png"}},
                    {"type": "input_audio", "input_audio": {}},
                )
            ),
            {"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}, 7]}]},
            {"tools": 7, "tool_choice": {}},
        ],
    )
    def test_what_it_has_no_words_for_is_refused_before_any_call(
        self, fields: dict[str, Any]
    ) -> None:
        with pytest.raises(CannotExpressError):
            body_of(**fields)

    def test_it_makes_no_pictures(self) -> None:
        with pytest.raises(CannotExpressError):
            body_of("image")

    @given(odd_json("messages", "role", "type", "function", "arguments", "image_url", "url"))
    def test_no_odd_field_crashes_it(self, odd: Any) -> None:
        for fields in (
            {"options": odd, "stop": odd, "reasoning_effort": odd, "response_format": odd},
            {"messages": [{"role": "user", "content": odd, "tool_calls": [odd]}]},
        ):
            with suppress(CannotExpressError):
                body_of(**fields)


class TestAnswers:
    def test_every_place_to_cut_gives_the_same_answer(self) -> None:
        whole, pieces = assembled(LineAssembler(), [STREAM])
        assert (whole.text, whole.finish_reason) == ("Grüße 世界 🎈", "stop")
        assert (whole.usage.input_tokens, whole.usage.output_tokens) == (6, 4)
        assert whole.body["choices"][0]["message"]["reasoning_content"] == "Hm, well."
        assert whole.body["created"] == 1795694400
        same_pieces(whole, pieces)
        for at in range(len(STREAM) + 1):
            assert assembled(LineAssembler(), [STREAM[:at], STREAM[at:]]) == (whole, pieces)

    @given(cuts=st.lists(st.integers(0, 10_000), max_size=40), end=st.sampled_from(["\n", "\r\n"]))
    def test_any_cuts_any_line_ends(self, cuts: list[int], end: str) -> None:
        data = STREAM.replace(b"\n", end.encode())
        expected = assembled(LineAssembler(), [STREAM])
        assert assembled(LineAssembler(), split_at(data, cuts)) == expected

    def test_a_whole_reply_is_a_stream_of_one_line(self) -> None:
        reply = {**LAST, "message": {"role": "assistant", "content": "Yes."}}
        got = ADAPTER.answer(work(), Reply(200, {}, orjson.dumps(reply)))
        assert (got.text, got.usage.output_tokens) == ("Yes.", 4)

    def test_calls_of_tools_have_ids_and_their_arguments_as_text(self) -> None:
        data = lines(said(tool_calls=[ASKED_TOOL]), said(tool_calls=[{**ASKED_TOOL, "id": "x"}]))
        got, pieces = assembled(LineAssembler(), [data + lines(LAST)])
        function = {"name": "weather", "arguments": '{"city":"Graz"}'}
        assert got.body["choices"][0]["message"]["tool_calls"] == [
            {"id": "call_0", "type": "function", "function": function},
            {"id": "x", "type": "function", "function": function},
        ]
        assert got.finish_reason == "tool_calls"
        same_pieces(got, pieces)

    def test_an_answer_that_was_too_long_says_so(self) -> None:
        data = STREAM.replace(b'"done_reason":"stop"', b'"done_reason":"length"')
        assert assembled(LineAssembler(), [data])[0].finish_reason == "length"

    def test_embeddings_are_packed_and_kept_in_order(self) -> None:
        reply = {"model": "m", "embeddings": [[0.5], [1.0]], "prompt_eval_count": 3}
        asked = work(kind="embedding", fields={"input": ["a", "b"]})
        got = ADAPTER.answer(asked, Reply(200, {}, orjson.dumps(reply)))
        assert [row["embedding"] for row in got.body["data"]] == ["AAAAPw==", "AACAPw=="]
        assert got.usage.input_tokens == 3
        for odd in (b"{", b"[]", b"{}", b'{"embeddings": [[0.5]]}', b'{"embeddings": 7}'):
            with pytest.raises(MalformedReplyError):
                ADAPTER.answer(asked, Reply(200, {}, odd))


class TestFailures:
    def test_a_stream_without_its_last_line_is_cut(self) -> None:
        with pytest.raises(CutStreamError):
            assembled(LineAssembler(), [STREAM[:-1]])

    def test_an_error_in_a_line(self) -> None:
        with pytest.raises(ErrorReply, match="200 provider_error"):
            LineAssembler().feed(lines(said(content="x"), {"error": "it broke"}))

    @pytest.mark.parametrize(
        ("status", "sentence", "code", "action"),
        [
            (404, "model 'x' not found", None, Action.MOVE),
            (400, "x does not support tools", "unsupported_operation", Action.MOVE),
            (
                *(503, "server busy, please try again.  maximum pending requests exceeded"),
                *("concurrency_limit", Action.RETRY),
            ),
            (500, "the model failed to generate a response", None, Action.RETRY),
            (402, "payment required", None, Action.MOVE),
            (400, "invalid options", None, Action.FAILED),
        ],
    )
    def test_its_sentences_lead_where_they_should(
        self, status: int, sentence: str, code: str | None, action: Action
    ) -> None:
        got = ADAPTER.error(Reply(status, {}, orjson.dumps({"error": sentence})))
        assert (got.code, got.message) == (code, sentence)
        assert verdict(status, code, table=ADAPTER.retries).action is action
        assert ADAPTER.error(Reply(502, {}, b"<html>")).message.endswith("with 502.")

    @given(
        st.lists(
            odd_json(
                *("message", "content", "thinking", "tool_calls", "function", "name", "done"),
                *("error", "prompt_eval_count", "eval_count", "created_at", "arguments"),
            ),
            max_size=4,
        ),
        st.binary(max_size=40),
    )
    def test_garbage_never_crashes_it(self, objects: list[Any], data: bytes) -> None:
        survives(LineAssembler, [lines(*objects), lines(LAST)])
        survives(LineAssembler, [lines(*({"message": each} for each in objects)), lines(LAST)])
        survives(LineAssembler, [lines(*({**LAST, "message": each} for each in objects))])
        survives(LineAssembler, [data, data + b"\n"])
