"""OpenAI's dialect: what is asked, and what the replies mean."""

from typing import Any

import orjson
import pytest

from broker.records.errors import UsageError
from broker.settings.providers import ProviderSettings, ServedModel
from tests.workers.building import work
from tests.workers.local_provider import completion
from workers.providers.dialect import ErrorReply, HttpRequest, MalformedReplyError, Reply
from workers.providers.openai import OURS, OpenAI
from workers.providers.registry import adapter_for

ADAPTER = OpenAI(ProviderSettings())


def asked(fields: dict[str, Any], **given: Any) -> HttpRequest:
    """The request of a prompt with exactly these fields."""
    made = work(**given)
    changed = {"fields": fields, "stream": fields.get("stream", False)}
    whole = {name: getattr(made, name) for name in made.__slots__} | changed
    return ADAPTER.request(type(made)(**whole), ServedModel(name="gpt-deployed"))


def body_of(request: HttpRequest) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(request.body)
    return body


class TestRequests:
    def test_a_plain_prompt_becomes_a_users_message(self) -> None:
        request = asked({"prompt": "Why?"})
        assert body_of(request) == {
            "model": "gpt-deployed",
            "messages": [{"role": "user", "content": "Why?"}],
        }
        assert (request.path, request.streamed) == ("/chat/completions", False)

    def test_input_serves_as_a_prompt(self) -> None:
        assert body_of(asked({"input": "Why?"}))["messages"][0]["content"] == "Why?"

    def test_messages_are_sent_as_they_are(self) -> None:
        messages = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "é"}, {"type": "odd", "x": 1}]},
        ]
        assert body_of(asked({"messages": messages, "prompt": None}))["messages"] == messages

    def test_unknown_fields_are_passed_on_and_ours_are_left_out(self) -> None:
        theirs = {"top_p": 0.5, "tools": [{"type": "function"}], "brand_new": {"a": [None, 1]}}
        ours = {
            "id": "a",
            "tenant": "t",
            "kind": "chat",
            "priority": "batch",
            "deadline": "2026-01-01T00:00:00Z",
            "timeout_s": 5,
            "provider": "azure",
            "metadata": {"secret": "x"},
            "stream": False,
            "model": "chat-small",
        }
        body = body_of(asked({"prompt": "Why?", **theirs, **ours}))
        assert {name: body[name] for name in theirs} == theirs
        assert body["model"] == "gpt-deployed"
        assert not (set(ours) - {"model"}) & set(body)
        assert set(ours) <= OURS

    def test_the_bound_of_the_answer_has_openais_new_name(self) -> None:
        body = body_of(asked({"prompt": "Why?", "max_output_tokens": 9}))
        assert body["max_completion_tokens"] == 9
        assert "max_output_tokens" not in body

    def test_a_stream_asks_for_its_usage_and_keeps_the_senders_options(self) -> None:
        options = {"include_usage": False, "x": 1}
        request = asked({"prompt": "Why?", "stream": True, "stream_options": options})
        assert request.streamed
        assert body_of(request)["stream"] is True
        assert body_of(request)["stream_options"] == {"x": 1, "include_usage": True}

    def test_options_of_another_type_do_not_stop_a_stream(self) -> None:
        request = asked({"prompt": "Why?", "stream": True, "stream_options": "all"})
        assert body_of(request)["stream_options"] == {"include_usage": True}

    def test_an_embedding_and_an_image_have_their_own_paths(self) -> None:
        embedding = asked({"input": ["a", "b"], "stream": True}, kind="embedding")
        assert (embedding.path, embedding.streamed) == ("/embeddings", False)
        assert body_of(embedding) == {
            "model": "gpt-deployed",
            "input": ["a", "b"],
            "encoding_format": "base64",
        }
        image = asked({"prompt": "A cat.", "size": "512x512"}, kind="image")
        assert image.path == "/images/generations"
        assert body_of(image) == {"model": "gpt-deployed", "prompt": "A cat.", "size": "512x512"}

    def test_the_key_goes_only_into_its_header(self) -> None:
        assert ADAPTER.key_header("sk-1") == ("Authorization", "Bearer sk-1")
        assert "Authorization" not in asked({"prompt": "Why?"}).headers

    @pytest.mark.parametrize(("auth", "sent"), [("key", "p"), ("none", "p"), ("google", None)])
    def test_a_project_of_another_cloud_stays_here(self, auth: Any, sent: str | None) -> None:
        adapter = OpenAI(ProviderSettings(project="p", auth=auth))
        headers = adapter.request(work(), ServedModel(name="m")).headers
        assert headers.get("OpenAI-Project") == sent

    def test_a_request_shows_no_prompt_when_it_is_printed(self) -> None:
        assert "MARKER" not in repr(asked({"prompt": "MARKER"}))


class TestAnswers:
    def test_a_whole_answer(self) -> None:
        got = ADAPTER.answer(work(), Reply(200, {}, orjson.dumps(completion("Yes."))))
        assert (got.text, got.usage.input_tokens, got.usage.output_tokens) == ("Yes.", 6, 4)
        assert (got.finish_reason, got.refusal) == ("stop", None)

    def test_two_choices_are_both_kept_and_the_first_is_the_text(self) -> None:
        choices = [
            {"index": n, "message": {"content": f"{n}"}, "finish_reason": "stop"} for n in range(2)
        ]
        got = ADAPTER.answer(work(), Reply(200, {}, orjson.dumps(completion(choices=choices))))
        assert (got.text, got.body["choices"]) == ("0", choices)

    def test_tool_calls_are_an_answer_without_text(self) -> None:
        calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
        got = ADAPTER.answer(
            work(), Reply(200, {}, orjson.dumps(completion(None, message={"tool_calls": calls})))
        )
        assert (got.text, got.refusal) == (None, None)
        assert got.body["choices"][0]["message"]["tool_calls"] == calls

    @pytest.mark.parametrize("usage", [None, {}, [], {"prompt_tokens": "6"}, {"prompt_tokens": -1}])
    def test_usage_that_is_no_count_is_unknown(self, usage: object) -> None:
        got = ADAPTER.answer(work(), Reply(200, {}, orjson.dumps(completion(usage=usage))))
        assert (got.usage.input_tokens, got.usage.output_tokens) == (None, None)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"null",
            b"[]",
            b'"x"',
            b"{}",
            b"\xff",
            b'{"choices": null}',
            b'{"choices": {}}',
            b'{"choices": [7]}',
            b'{"choices": [{"message": {"content": "x"}}]}',
            b'{"choices": [{"message": null, "finish_reason": "stop"}]}',
            b'{"choices": [{"message": {"content": [1]}, "finish_reason": "stop"}]}',
            b'{"choices": [{"message": {"content": "x"}, "finish_reason": null}]}',
        ],
    )
    def test_what_is_no_completion_is_malformed(self, body: bytes) -> None:
        with pytest.raises(MalformedReplyError):
            ADAPTER.answer(work(), Reply(200, {}, body))


class TestErrors:
    @pytest.mark.parametrize(
        ("body", "code", "kind", "message"),
        [
            ({"error": {"code": "c", "type": "t", "message": "m"}}, "c", "t", "m"),
            ([{"error": {"code": "c", "type": "t", "message": "m"}}], "c", "t", "m"),
            ({"code": "c", "type": "t", "message": "m"}, "c", "t", "m"),
            ({"object": "error", "message": "m", "code": 400}, None, "provider_error", "m"),
            ({"error": {"code": 429, "status": "EXHAUSTED"}}, "EXHAUSTED", "provider_error", None),
            ({"error": "m"}, None, "provider_error", "m"),
            ({"error": None}, None, "provider_error", "The provider answered with 400."),
            ({"error": []}, None, "provider_error", "The provider answered with 400."),
            ([], None, "provider_error", "The provider answered with 400."),
            ("m", None, "provider_error", "The provider answered with 400."),
            (7, None, "provider_error", "The provider answered with 400."),
            ({"error": {"code": ["x"], "message": {"a": 1}}}, "['x']", "provider_error", None),
        ],
    )
    def test_every_form_is_understood(
        self, body: object, code: str | None, kind: str, message: str | None
    ) -> None:
        got = ADAPTER.error(Reply(400, {}, orjson.dumps(body)))
        assert (got.status, got.code, got.type) == (400, code, kind)
        if message is not None:
            assert got.message == message

    @pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"\xff\xfe", b"{"])
    def test_what_is_no_json_still_has_a_sentence(self, body: bytes) -> None:
        got = ADAPTER.error(Reply(502, {}, body))
        assert (got.code, got.message) == (None, "The provider answered with 502.")

    def test_a_long_one_is_cut(self) -> None:
        error = {"error": {"code": "c" * 999, "type": "t" * 999, "message": "m" * 9_999}}
        got = ADAPTER.error(Reply(400, {}, orjson.dumps(error)))
        assert got.code is not None
        assert (len(got.code), len(got.type), len(got.message)) == (64, 64, 500)

    def test_its_text_is_not_in_what_it_prints(self) -> None:
        got = ADAPTER.error(Reply(400, {}, b'{"error": {"message": "MARKER", "type": "t"}}'))
        assert "MARKER" not in str(got)

    def test_an_error_with_a_good_status(self) -> None:
        with pytest.raises(ErrorReply) as caught:
            ADAPTER.answer(work(), Reply(200, {}, b'{"error": {"code": "slow_down"}}'))
        assert (caught.value.status, caught.value.code) == (200, "slow_down")


def test_a_dialect_that_does_not_exist_is_a_mistake_in_the_settings() -> None:
    assert isinstance(adapter_for(ProviderSettings()), OpenAI)
    with pytest.raises(UsageError, match="no dialect 'klingon'"):
        adapter_for(ProviderSettings(dialect="klingon"))
