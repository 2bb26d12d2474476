"""Chats asked for in the Responses form: what is mapped, what is refused, what comes back."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from broker.records.errors import UsageError
from broker.settings.providers import ProviderSettings, ServedModel
from tests.wire.openai_prompts import TOOL
from tests.wire.openai_responses_prompts import RESPONSE
from tests.workers.building import work
from tests.workers.providers.stream_joining import odd_json
from workers.providers.dialect import (
    Answer,
    CannotExpressError,
    ErrorReply,
    HttpRequest,
    MalformedReplyError,
    Reply,
)
from workers.providers.openai import OpenAI
from workers.providers.openai_responses import MAPPED, REFUSED, SAME

SERVED = ServedModel(name="m", api="responses")
ADAPTER = OpenAI(ProviderSettings(models={"chat-small": SERVED}))


def asked(**fields: Any) -> HttpRequest:
    given = {"prompt": None, **fields} if "input" in fields else fields
    return ADAPTER.request(work(fields=given, stream=fields.get("stream", False)), SERVED)


def answered(**changed: Any) -> Answer:
    return ADAPTER.answer(work(), Reply(200, {}, orjson.dumps({**RESPONSE, **changed})))


class TestRequests:
    def test_every_field_of_a_chat_is_mapped_refused_or_the_same(self) -> None:
        """A new release of the SDK with a new field stops here."""
        chat = frozenset(CompletionCreateParamsBase.__annotations__)
        assert chat <= MAPPED | REFUSED.keys() | SAME
        assert SAME.issubset(ResponseCreateParamsBase.__annotations__)
        assert not REFUSED.keys() & ResponseCreateParamsBase.__annotations__.keys()

    @pytest.mark.parametrize(
        "fields",
        [
            *({name: "x"} for name in REFUSED),
            {"n": 2},
            {"modalities": ["text", "audio"]},
            {"messages": [{"role": "user", "content": "Why?", "name": "Ada"}]},
            {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]},
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            {"messages": [{"role": "assistant", "tool_calls": [{"type": "odd"}]}]},
            {"input": [{"role": "user", "content": "Why?"}], "background": True},
        ],
    )
    def test_what_it_has_no_words_for_is_refused_before_any_call(
        self, fields: dict[str, Any]
    ) -> None:
        with pytest.raises(CannotExpressError) as caught:
            asked(**fields)
        assert caught.value.message.endswith(".")

    def test_what_asks_for_nothing_is_left_out(self) -> None:
        body = orjson.loads(
            asked(
                n=1,
                stop=None,
                logit_bias={},
                modalities=["text"],
                frequency_penalty=0,
                logprobs=False,
                stream_options={"x": 1},
            ).body
        )
        assert body == {"model": "m", "input": "Why is the sky blue?", "store": False}

    def test_a_stream_has_no_option_for_its_usage(self) -> None:
        options = {"include_usage": True, "include_obfuscation": False}
        request = asked(stream=True, stream_options=options)
        assert request.streamed
        assert orjson.loads(request.body)["stream_options"] == {"include_obfuscation": False}
        assert "stream_options" not in orjson.loads(asked(stream=True).body)

    def test_unknown_fields_are_passed_on(self) -> None:
        assert orjson.loads(asked(brand_new=[1]).body)["brand_new"] == [1]

    def test_a_form_of_calling_that_does_not_exist_is_a_mistake_in_the_settings(self) -> None:
        models = {"chat-small": ServedModel(name="m", api="telepathy")}
        with pytest.raises(UsageError, match="'telepathy'"):
            OpenAI(ProviderSettings(models=models))


class TestAnswers:
    def test_a_whole_response_is_a_chat_completion(self) -> None:
        got = answered(service_tier="flex")
        assert (got.text, got.finish_reason, got.refusal) == ("Yes.", "tool_calls", None)
        assert (got.usage.input_tokens, got.usage.cached_input_tokens) == (3, 1)
        assert (got.usage.output_tokens, got.usage.reasoning_tokens) == (7, 4)
        assert got.body == {
            "id": "resp_1",
            "object": "chat.completion",
            "created": 5,
            "model": "m",
            "service_tier": "flex",
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": "Yes.",
                        "refusal": None,
                        "reasoning_content": "Hm.",
                        "tool_calls": [
                            {
                                "id": "call_1",
                                "type": "function",
                                "function": {"name": "weather", "arguments": '{"city": "Graz"}'},
                            }
                        ],
                    },
                    "finish_reason": "tool_calls",
                    "logprobs": None,
                }
            ],
            "usage": {
                "prompt_tokens": 3,
                "completion_tokens": 7,
                "total_tokens": 10,
                "prompt_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
        }

    def test_citations_probabilities_and_what_a_chat_has_no_place_for_are_kept(self) -> None:
        cited = {"type": "url_citation", "url": "https://x", "start_index": 0, "end_index": 3}
        part = {"type": "output_text", "text": "Yes.", "annotations": [cited], "logprobs": [{}]}
        search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
        got = answered(output=[search, {"type": "message", "content": [part]}])
        inner = {name: value for name, value in cited.items() if name != "type"}
        choice = got.body["choices"][0]
        assert choice["message"]["annotations"] == [{"type": "url_citation", "url_citation": inner}]
        assert choice["logprobs"] == {"content": [{}]}
        assert got.body["output"] == [search]
        assert got.finish_reason == "stop"

    def test_a_response_that_failed_is_an_error(self) -> None:
        with pytest.raises(ErrorReply) as caught:
            answered(status="failed", error={"code": "invalid_prompt", "message": "m"})
        assert (caught.value.status, caught.value.code) == (200, "invalid_prompt")

    @pytest.mark.parametrize("status", ["queued", "in_progress", "cancelled", None, 7, []])
    def test_one_that_is_not_over_is_malformed(self, status: object) -> None:
        with pytest.raises(MalformedReplyError):
            answered(status=status)

    @pytest.mark.parametrize(
        "output", [None, 7, [7], [{"type": "message"}], [{"type": "function_call"}]]
    )
    def test_output_of_no_known_form_is_malformed(self, output: object) -> None:
        with pytest.raises(MalformedReplyError):
            answered(output=output)


@given(odd_json("messages", "role", "content", "type", "tools", "tool_choice", "function", "text"))
def test_odd_tools_and_formats_never_crash_the_mapping(odd: Any) -> None:
    for name in ("tool_choice", "response_format", "stream_options", "verbosity", "tools"):
        with suppress(CannotExpressError):
            asked(**{name: odd})
    for fields in ({"tools": [odd, TOOL]}, {"messages": [{"role": "user", "tool_calls": odd}]}):
        with suppress(CannotExpressError):
            asked(**fields)
