"""What Gemini answers, in OpenAI's form; what is no answer is never taken for one."""

from typing import Any

import orjson
import pytest
from openai.types.chat import ChatCompletion

from broker.records.usage import Usage
from broker.settings.providers import ProviderSettings
from tests.workers.building import work
from workers.providers.dialect import Answer, ErrorReply, MalformedReplyError, Reply
from workers.providers.gemini import Gemini
from workers.providers.openai_reply import ANSWER_FILTERED

ADAPTER = Gemini(ProviderSettings(dialect="gemini"))
COUNTED = {
    "promptTokenCount": 10,
    "toolUsePromptTokenCount": 2,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 7,
    "cachedContentTokenCount": 4,
    "totalTokenCount": 24,
    "trafficType": "ON_DEMAND",
}


def candidate(*parts: Any, finish: str | None = "STOP", **given: Any) -> dict[str, Any]:
    """A candidate of these parts; a text is a part of text."""
    made = [{"text": part} if isinstance(part, str) else part for part in parts]
    ended = {} if finish is None else {"finishReason": finish}
    return {"content": {"role": "model", "parts": made}, **ended, **given}


def reply(*candidates: Any, **given: Any) -> dict[str, Any]:
    return {
        "candidates": list(candidates),
        "usageMetadata": COUNTED,
        "modelVersion": "gemini-3-flash-001",
        "createTime": "2026-11-26T12:00:00.250Z",
        "responseId": "r-1",
        **given,
    }


def read(body: Any, **given: Any) -> Answer:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    return ADAPTER.answer(work(**given), Reply(200, {}, data))


def message_of(answer: Answer) -> dict[str, Any]:
    message: dict[str, Any] = answer.body["choices"][0]["message"]
    return message


class TestChats:
    def test_a_whole_answer_is_one_that_openais_sdk_knows(self) -> None:
        got = read(reply(candidate("Rayleigh", " did it.")))
        assert (got.text, got.finish_reason, got.refusal) == ("Rayleigh did it.", "stop", None)
        assert got.usage == Usage(12, 12, 4, 7)
        assert got.notes == {"traffic_type": "ON_DEMAND"}
        parsed = ChatCompletion.model_validate(got.body)
        assert (parsed.id, parsed.model, parsed.created) == (
            "r-1",
            "gemini-3-flash-001",
            1_795_694_400,
        )
        assert parsed.usage is not None
        assert parsed.usage.total_tokens == 24
        assert parsed.usage.completion_tokens_details is not None
        assert parsed.usage.completion_tokens_details.reasoning_tokens == 7

    def test_thoughts_stay_out_of_what_is_said(self) -> None:
        got = read(reply(candidate({"text": "Hm.", "thought": True}, "Yes.")))
        assert got.text == "Yes."
        assert message_of(got)["reasoning_content"] == "Hm."

    def test_calls_of_functions(self) -> None:
        call = {"functionCall": {"name": "look", "args": {"city": "Köln"}}}
        signed = {"functionCall": {"name": "go", "id": "own"}, "thoughtSignature": "abc="}
        got, again = (read(reply(candidate(call, signed)), prompt_id="p") for _ in range(2))
        first, second = message_of(got)["tool_calls"]
        assert first["function"] == {"name": "look", "arguments": '{"city":"Köln"}'}
        assert first["id"].startswith("call_")
        assert (second["id"], second["function"]["arguments"]) == ("own", "{}")
        assert second["extra_content"] == {"google": {"thought_signature": "abc="}}
        assert (got.finish_reason, got.text) == ("tool_calls", None)
        assert got == again
        assert ChatCompletion.model_validate(got.body).choices[0].message.tool_calls is not None
        other = read(reply(candidate(call)), prompt_id="q")
        assert message_of(other)["tool_calls"][0]["id"] != first["id"]

    def test_an_answer_of_thoughts_alone_is_an_empty_text(self) -> None:
        got = read(reply(candidate({"text": "Hm.", "thought": True}, finish="MAX_TOKENS")))
        assert (got.text, message_of(got)["content"], got.finish_reason) == ("", "", "length")

    def test_several_candidates(self) -> None:
        got = read(reply(candidate("b", index=1), candidate("a", index=0, finish="MAX_TOKENS")))
        assert [choice["message"]["content"] for choice in got.body["choices"]] == ["a", "b"]
        assert (got.text, got.finish_reason) == ("a", "length")
        assert len(read(reply(candidate("a"), candidate("b"))).body["choices"]) == 2

    def test_a_picture_beside_text_is_kept(self) -> None:
        blob = {"inlineData": {"mimeType": "image/png", "data": "QUJD"}}
        got = read(reply(candidate("See.", blob)))
        assert message_of(got)["images"][0]["image_url"]["url"] == "data:image/png;base64,QUJD"
        assert got.usage.images == 1

    def test_probabilities(self) -> None:
        result = {
            "chosenCandidates": [{"token": "é", "logProbability": -0.5}, {"token": "!"}],
            "topCandidates": [{"candidates": [{"token": "e", "logProbability": -2}]}],
        }
        got = ChatCompletion.model_validate(
            read(reply(candidate("é!", logprobsResult=result))).body
        )
        assert got.choices[0].logprobs is not None
        first, second = got.choices[0].logprobs.content or []
        assert (first.logprob, first.bytes, first.top_logprobs[0].logprob) == (-0.5, [195, 169], -2)
        assert (second.logprob, second.top_logprobs) == (0, [])

    @pytest.mark.parametrize(
        "word",
        ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "MODEL_ARMOR"],
    )
    def test_an_answer_that_was_stopped_is_a_refusal(self, word: str) -> None:
        got = read(reply({"finishReason": word}))
        assert (got.refusal, got.finish_reason, got.text) == (
            ANSWER_FILTERED,
            "content_filter",
            None,
        )
        assert got.notes["finish_reason"] == word

    def test_a_blocked_prompt_comes_with_a_good_status(self) -> None:
        counted = {"promptTokenCount": 9, "totalTokenCount": 9}
        got = read(
            {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": counted}
        )
        assert (got.refusal, got.text) == ("content_filter", None)
        assert got.notes == {"block_reason": "PROHIBITED_CONTENT"}
        assert got.usage == Usage(9, 0)
        assert ChatCompletion.model_validate(got.body).choices[0].finish_reason == "content_filter"

    @pytest.mark.parametrize(
        "word", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "OTHER", "LANGUAGE"]
    )
    def test_an_end_without_an_answer_is_an_error(self, word: str) -> None:
        with pytest.raises(ErrorReply) as caught:
            read(reply(candidate("par", finish=word, finishMessage="Sorry.")))
        assert (caught.value.code, caught.value.message) == (word, "Sorry.")

    def test_an_end_that_nobody_knows_is_an_error(self) -> None:
        with pytest.raises(ErrorReply) as caught:
            read(reply(candidate("par", finish="a secret")))
        assert caught.value.code == "unknown_finish_reason"
        assert "secret" not in caught.value.message

    @pytest.mark.parametrize("usage", [None, [], {"promptTokenCount": "6"}, {"a": 1}])
    def test_usage_that_is_no_count_is_unknown(self, usage: Any) -> None:
        got = read(reply(candidate("x"), usageMetadata=usage))
        assert (got.usage, got.body["usage"]) == (Usage(), None)

    @pytest.mark.parametrize(
        "body",
        [
            *(b"", b"{", b"null", b"[]", b"[{}, {}]", b'"x"', b"{}", b"\xff", b"7"),
            {"candidates": None},
            {"candidates": {}},
            {"candidates": [7]},
            {"candidates": 7},
            reply(candidate("x", finish=None)),
            reply(candidate("x", index=-1)),
            reply(candidate("x", index="0")),
            reply(candidate({"text": 7})),
            reply(candidate(7)),
            reply({"content": [], "finishReason": 7}),
            reply({"content": "x", "finishReason": "STOP"}),
            reply(candidate({"functionCall": {"name": "f", "args": []}, "x": 1}, 1)),
            reply(candidate({"functionCall": {"args": {}}})),
            reply(candidate({"functionCall": {"name": "f", "willContinue": True}})),
            reply(candidate({"inlineData": {"mimeType": "image/png"}})),
            {"promptFeedback": {"blockReason": ""}},
        ],
    )
    def test_what_is_no_answer_is_malformed(self, body: Any) -> None:
        with pytest.raises((MalformedReplyError, ErrorReply)) as caught:
            read(body)
        assert not isinstance(caught.value, ErrorReply) or caught.value.code is not None

    def test_an_error_with_a_good_status_in_a_list(self) -> None:
        with pytest.raises(ErrorReply) as caught:
            read([{"error": {"code": 503, "status": "UNAVAILABLE", "message": "Busy."}}])
        assert (caught.value.status, caught.value.code) == (503, "UNAVAILABLE")
