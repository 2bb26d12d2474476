"""What Gemini is asked: everything said is carried over, or refused before any call."""

from dataclasses import replace
from typing import Any

import orjson
import pytest

from broker.records.errors import UsageError
from broker.settings.providers import ProviderSettings, ServedModel
from tests.workers.building import work
from workers.providers.dialect import CannotExpressError, HttpRequest
from workers.providers.gemini import Gemini
from workers.providers.gemini_contents import UNSIGNED
from workers.providers.registry import adapter_for

ADAPTER = Gemini(ProviderSettings(dialect="gemini"))
FLASH = ServedModel(name="gemini-3-flash")


def asked(fields: dict[str, Any], served: ServedModel = FLASH, **given: Any) -> HttpRequest:
    """The request of a prompt with exactly these fields."""
    streamed = fields.get("stream", False)
    return ADAPTER.request(replace(work(**given), fields=fields, stream=streamed), served)


def body_of(fields: dict[str, Any], served: ServedModel = FLASH, **given: Any) -> dict[str, Any]:
    body: dict[str, Any] = orjson.loads(asked(fields, served, **given).body)
    return body


def config_of(fields: dict[str, Any], served: ServedModel = FLASH) -> dict[str, Any]:
    config: dict[str, Any] = body_of({"prompt": "Why?", **fields}, served)["generationConfig"]
    return config


def contents_of(*messages: dict[str, Any], served: ServedModel = FLASH) -> list[dict[str, Any]]:
    contents: list[dict[str, Any]] = body_of({"messages": list(messages)}, served)["contents"]
    return contents


def called(call_id: str | None = "c1", name: str = "look", args: str = "{}") -> dict[str, Any]:
    call = {"type": "function", "function": {"name": name, "arguments": args}}
    return call if call_id is None else {"id": call_id, **call}


USER = {"role": "user", "content": "Why?"}


class TestAddresses:
    def test_the_simulator_has_a_project_of_its_own(self) -> None:
        assert asked({"prompt": "Why?"}).path == (
            "/v1/projects/simulated/locations/global/publishers/google/models/"
            "gemini-3-flash:generateContent"
        )

    @pytest.mark.parametrize(
        ("host", "location"),
        [
            ("https://europe-west4-aiplatform.googleapis.com", "europe-west4"),
            ("https://aiplatform.googleapis.com", "global"),
            ("https://aiplatform.eu.rep.googleapis.com", "eu"),
        ],
    )
    def test_a_location_that_is_not_set_is_that_of_the_host(self, host: str, location: str) -> None:
        provider = ProviderSettings(dialect="gemini", base_url=host, project="p/1", auth="google")
        path = Gemini(provider).request(work(), FLASH).path
        assert path.startswith(f"/v1/projects/p%2F1/locations/{location}/publishers/")

    def test_googles_credentials_without_a_project_are_refused_at_the_start(self) -> None:
        with pytest.raises(UsageError, match="no `project`"):
            adapter_for(
                ProviderSettings(
                    dialect="gemini", base_url="https://aiplatform.googleapis.com", auth="google"
                )
            )

    @pytest.mark.parametrize(
        ("name", "resource"),
        [
            ("meta/llama", "/v1/projects/simulated/locations/global/publishers/meta/models/llama"),
            (
                "publishers/google/models/x",
                "/v1/projects/simulated/locations/global/publishers/google/models/x",
            ),
            ("projects/p/locations/l/endpoints/1", "/v1/projects/p/locations/l/endpoints/1"),
        ],
    )
    def test_whole_names_of_models(self, name: str, resource: str) -> None:
        assert asked({"prompt": "Why?"}, ServedModel(name=name)).path == (
            f"{resource}:generateContent"
        )

    def test_a_stream_is_asked_for_by_its_path(self) -> None:
        request = asked({"prompt": "Why?", "stream": True})
        assert request.path.endswith(":streamGenerateContent?alt=sse")
        assert request.streamed
        assert b"stream" not in request.body


class TestMessages:
    def test_what_the_system_says_anywhere_stands_in_the_instruction(self) -> None:
        body = body_of(
            {
                "messages": [
                    {"role": "developer", "content": "A."},
                    USER,
                    {"role": "system", "content": [{"type": "text", "text": "B."}]},
                ]
            }
        )
        assert [part["text"] for part in body["systemInstruction"]["parts"]] == ["A.", "B."]
        assert body["contents"] == [{"role": "user", "parts": [{"text": "Why?"}]}]

    def test_results_of_parallel_calls_stand_in_one_content(self) -> None:
        contents = contents_of(
            USER,
            {"role": "assistant", "content": "", "tool_calls": [called("1"), called("2", "go")]},
            {"role": "tool", "tool_call_id": "1", "content": "blue"},
            {"role": "tool", "tool_call_id": "2", "content": "[1]"},
            {"role": "user", "content": "And?"},
        )
        assert [content["role"] for content in contents] == ["user", "model", "user", "user"]
        assert [part["functionResponse"] for part in contents[2]["parts"]] == [
            {"id": "1", "name": "look", "response": {"output": "blue"}},
            {"id": "2", "name": "go", "response": {"output": [1]}},
        ]

    @pytest.mark.parametrize(
        ("content", "response"),
        [
            ('{"a": 1}', {"a": 1}),
            ('{"output": 1, "b": 2}', {"output": {"output": 1, "b": 2}}),
            ("null", {"output": "null"}),
            ("{", {"output": "{"}),
            ([{"type": "text", "text": "x"}, {"type": "text", "text": "y"}], {"output": "xy"}),
        ],
    )
    def test_no_part_of_a_tools_result_is_lost(self, content: Any, response: Any) -> None:
        contents = contents_of(
            USER,
            {"role": "assistant", "content": None, "tool_calls": [called()]},
            {"role": "tool", "tool_call_id": "c1", "content": content},
        )
        assert contents[2]["parts"][0]["functionResponse"]["response"] == response

    def test_gemini_3_refuses_calls_without_a_signature(self) -> None:
        message = {"role": "assistant", "content": None, "tool_calls": [called("1"), called("2")]}
        parts = contents_of(USER, message)[1]["parts"]
        assert [part.get("thoughtSignature") for part in parts] == [UNSIGNED, None]
        older = ServedModel(name="gemini-2.5-flash")
        assert "thoughtSignature" not in contents_of(USER, message, served=older)[1]["parts"][0]
        message["tool_calls"][0]["extra_content"] = {  # type: ignore[index]  # it is a list
            "google": {"thought_signature": "abc="}
        }
        assert contents_of(USER, message)[1]["parts"][0]["thoughtSignature"] == "abc="

    def test_the_older_form_of_functions_in_a_conversation(self) -> None:
        contents = contents_of(
            USER,
            {
                "role": "assistant",
                "content": None,
                "function_call": {"name": "look", "arguments": ""},
            },
            {"role": "function", "name": "look", "content": "blue"},
        )
        assert contents[1]["parts"][0]["functionCall"] == {"name": "look", "args": {}}
        assert contents[2]["parts"][0]["functionResponse"]["name"] == "look"

    def test_a_text_that_is_empty_is_left_out_as_vertex_refuses_it(self) -> None:
        empty = [{"type": "text", "text": ""}, {"type": "text", "text": "x"}]
        contents = contents_of(
            USER, {"role": "assistant", "content": ""}, {"role": "user", "content": empty}
        )
        assert [content["parts"] for content in contents] == [[{"text": "Why?"}], [{"text": "x"}]]

    @pytest.mark.parametrize(
        ("part", "expected"),
        [
            (
                {"type": "image_url", "image_url": {"url": "data:image/PNG;x=1;base64,QUJD"}},
                {"inlineData": {"mimeType": "image/png", "data": "QUJD"}},
            ),
            (
                {"type": "image_url", "image_url": {"url": "https://a.b/c.JPG?d=e.f#g"}},
                {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://a.b/c.JPG?d=e.f#g"}},
            ),
            (
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD"}},
                {"inlineData": {"mimeType": "application/pdf", "data": "QUJD"}},
            ),
            (
                {"type": "input_audio", "input_audio": {"format": "mp3", "data": "QUJD"}},
                {"inlineData": {"mimeType": "audio/mpeg", "data": "QUJD"}},
            ),
        ],
    )
    def test_media(self, part: dict[str, Any], expected: dict[str, Any]) -> None:
        assert contents_of({"role": "user", "content": [part]})[0]["parts"] == [expected]

    @pytest.mark.parametrize(
        "messages",
        [
            [{"role": "system", "content": "Alone."}],
            [{"role": "user", "content": ""}, {"role": "user", "content": []}],
            [{"role": "narrator", "content": "x"}],
            [{"role": "user", "content": [{"type": "odd"}]}],
            [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://x"}}]}],
            [{"role": "user", "content": [{"type": "image_url", "image_url": "https://a/b"}]}],
            [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}],
            [{"role": "system", "content": [{"type": "image_url", "image_url": "gs://a/b.png"}]}],
            [USER, {"role": "assistant", "audio": {"id": "audio-1"}}],
            [USER, {"role": "assistant", "tool_calls": [called(args="[1]")]}],
            [USER, {"role": "assistant", "tool_calls": [called(args='{"a": ' * 2)]}],
            [USER, {"role": "assistant", "tool_calls": [{"type": "custom", "custom": {}}]}],
            [USER, {"role": "tool", "tool_call_id": "nobody's", "content": "x"}],
        ],
    )
    def test_what_cannot_be_said_is_refused_before_any_call(self, messages: list[Any]) -> None:
        with pytest.raises(CannotExpressError) as caught:
            asked({"messages": messages})
        assert caught.value.message.endswith(".")

    def test_arguments_nested_beyond_what_json_takes(self) -> None:
        deep = '{"a":' * 400 + "1" + "}" * 400
        with pytest.raises(CannotExpressError, match="deep"):
            asked({"messages": [USER, {"role": "assistant", "tool_calls": [called(args=deep)]}]})
