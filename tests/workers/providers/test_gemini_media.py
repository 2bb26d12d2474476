"""Pictures and embeddings of Vertex in OpenAI's form."""

import base64
import struct
from typing import Any, Final

import pytest
from openai.types import CreateEmbeddingResponse, ImagesResponse

from broker.records.usage import Usage
from tests.workers.providers.test_gemini_reply import COUNTED, candidate, read, reply
from workers.providers.dialect import ErrorReply, MalformedReplyError
from workers.providers.openai_reply import ANSWER_FILTERED

BLOB: Final = {"inlineData": {"mimeType": "image/jpeg", "data": "QUJD"}}


class TestPictures:
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


class TestEmbeddings:
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
