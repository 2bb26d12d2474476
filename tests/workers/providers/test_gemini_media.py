"""Pictures and embeddings of Vertex: how they are asked for, and what comes back."""

import base64
import struct
from typing import Any, Final

import pytest
from openai.types import CreateEmbeddingResponse, ImagesResponse

from broker.records.errors import UsageError
from broker.records.usage import Usage
from broker.settings.providers import ProviderSettings, ServedModel
from tests.workers.providers.test_gemini_reply import COUNTED, candidate, read, reply
from tests.workers.providers.test_gemini_request import asked, body_of
from workers.providers.dialect import CannotExpressError, ErrorReply, MalformedReplyError
from workers.providers.gemini import Gemini
from workers.providers.openai_reply import ANSWER_FILTERED

BLOB: Final = {"inlineData": {"mimeType": "image/jpeg", "data": "QUJD"}}


class TestPicturesAsked:
    @pytest.mark.parametrize(
        ("size", "config"),
        [
            ("auto", None),
            ("1024x1024", {"aspectRatio": "1:1"}),
            ("1792x1024", {"aspectRatio": "16:9"}),
            ("1024x1536", {"aspectRatio": "2:3"}),
            ("2048x2048", {"aspectRatio": "1:1", "imageSize": "2K"}),
            ("4096x4096", {"aspectRatio": "1:1", "imageSize": "4K"}),
        ],
    )
    def test_sizes(self, size: str, config: Any) -> None:
        body = body_of({"prompt": "A cat.", "size": size, "quality": "auto", "n": 1}, kind="image")
        assert body["generationConfig"].pop("responseModalities") == ["TEXT", "IMAGE"]
        assert body["generationConfig"].get("imageConfig") == config

    def test_no_picture_is_worse_than_was_asked_for(self) -> None:
        assert "quality" not in str(body_of({"prompt": "A cat.", "quality": "low"}, kind="image"))
        with pytest.raises(CannotExpressError, match="quality"):
            asked({"prompt": "A cat.", "quality": "high"}, kind="image")

    @pytest.mark.parametrize(
        "fields",
        [
            {"n": 2},
            {"size": "1000x300"},
            {"size": "0x0"},
            {"size": "99999x99999"},
            {"size": 1024},
            {"quality": "hd"},
            {"response_format": "url"},
            {"background": "transparent"},
            {"output_format": "webp"},
            {"output_format": []},
            {"style": "vivid"},
            {"partial_images": 2},
        ],
    )
    def test_what_cannot_be_said(self, fields: dict[str, Any]) -> None:
        with pytest.raises(CannotExpressError):
            asked({"prompt": "A cat.", **fields}, kind="image")


class TestEmbeddingsAsked:
    def test_a_long_text_is_not_cut_in_silence(self) -> None:
        served = ServedModel(name="text-embedding-005")
        body = body_of({"input": "a"}, served, kind="embedding")
        assert body == {"instances": [{"content": "a"}], "parameters": {"autoTruncate": False}}
        body = body_of({"input": ["a"], "auto_truncate": True}, served, kind="embedding")
        assert body["parameters"] == {"autoTruncate": True}

    @pytest.mark.parametrize(
        ("name", "api", "method"),
        [
            ("text-embedding-005", None, "predict"),
            ("gemini-embedding-2", None, "embedContent"),
            ("gemini-embedding-001", "predict", "predict"),
            ("mine", "embed-content", "embedContent"),
        ],
    )
    def test_the_settings_decide_how_a_model_is_asked(
        self, name: str, api: str | None, method: str
    ) -> None:
        request = asked({"prompt": "a"}, ServedModel(name=name, api=api), kind="embedding")
        assert request.path.endswith(f":{method}")

    @pytest.mark.parametrize(
        "fields",
        [
            {"input": ["a"] * 251},
            {"input": ["a", "b"]},
            {"input": [1, 2, 3]},
            {"input": [[1], [2]]},
            {"input": "a", "encoding_format": "int8"},
            {"input": "a", "truncation": 5},
        ],
    )
    def test_what_cannot_be_said(self, fields: dict[str, Any]) -> None:
        with pytest.raises(CannotExpressError):
            asked(fields, ServedModel(name="e5-maas"), kind="embedding")

    def test_a_form_that_does_not_exist_is_found_at_the_start(self) -> None:
        models = {"vectors": ServedModel(name="x", api="responses")}
        with pytest.raises(UsageError, match="responses"):
            Gemini(ProviderSettings(dialect="gemini", models=models))


class TestPicturesAnswered:
    def test_a_picture_in_openais_form(self) -> None:
        drawn = {"inlineData": {"mimeType": "image/png", "data": "eHg="}, "thought": True}
        got = read(reply(candidate("Here.", drawn, BLOB)), kind="image")
        parsed = ImagesResponse.model_validate(got.body)
        assert [image.b64_json for image in parsed.data or []] == ["QUJD"]
        assert parsed.output_format == "jpeg"
        assert parsed.usage is not None
        assert parsed.usage.output_tokens == 12
        assert (got.usage.images, got.usage.output_tokens, got.refusal) == (1, 12, None)

    def test_refusals(self) -> None:
        stopped = read(reply({"finishReason": "IMAGE_SAFETY"}), kind="image")
        assert (stopped.refusal, stopped.body["data"]) == (ANSWER_FILTERED, [])
        blocked = read({"promptFeedback": {"blockReason": "SAFETY"}}, kind="image")
        assert (blocked.refusal, blocked.usage.images) == ("content_filter", 0)

    def test_words_instead_of_a_picture_are_no_answer(self) -> None:
        for body in (reply(candidate("I cannot draw.")), reply({"finishReason": "NO_IMAGE"})):
            with pytest.raises(ErrorReply) as caught:
                read(body, kind="image")
            assert caught.value.code == "NO_IMAGE"

    @pytest.mark.parametrize("body", [b"[]", b"{}", reply(7), reply({}), reply(candidate(7))])
    def test_what_is_no_reply_is_malformed(self, body: Any) -> None:
        with pytest.raises(MalformedReplyError):
            read(body, kind="image")


class TestEmbeddingsAnswered:
    def test_order_is_kept_and_numbers_are_packed(self) -> None:
        rows = [
            {"embeddings": {"values": [n, 0.5], "statistics": {"token_count": n}}} for n in (1, 2.0)
        ]
        fields = {"input": ["a", "b"]}
        got = read({"predictions": rows}, kind="embedding", fields=fields)
        packed = [base64.b64decode(row["embedding"]) for row in got.body["data"]]
        assert packed == [struct.pack("<2f", 1, 0.5), struct.pack("<2f", 2, 0.5)]
        assert [row["index"] for row in got.body["data"]] == [0, 1]
        assert got.usage == Usage(3, 0)
        plain = read(
            {"predictions": rows},
            kind="embedding",
            fields={**fields, "encoding_format": "float"},
        )
        parsed = CreateEmbeddingResponse.model_validate(plain.body)
        assert [row.embedding for row in parsed.data] == [[1.0, 0.5], [2.0, 0.5]]
        assert parsed.usage.prompt_tokens == 3

    def test_a_text_that_was_cut_is_noted(self) -> None:
        body = {"embedding": {"values": [1]}, "truncated": True, "usageMetadata": COUNTED}
        got = read(body, kind="embedding")
        assert got.notes == {"traffic_type": "ON_DEMAND", "truncated": "1"}
        assert got.usage.input_tokens == 10

    @pytest.mark.parametrize(
        "body",
        [
            *({}, [], {"predictions": []}, {"predictions": [{}]}, {"embedding": None}),
            {"embedding": {"values": []}},
            {"embedding": {"values": [None]}},
            {"embedding": {"values": "abc"}},
            {"embeddings": [{"values": [1]}, {"values": [1]}]},
            {"embeddings": {"values": [1]}},
            {"embeddings": [7]},
        ],
    )
    def test_what_is_no_embedding_is_malformed(self, body: Any) -> None:
        with pytest.raises(MalformedReplyError):
            read(body, kind="embedding")
