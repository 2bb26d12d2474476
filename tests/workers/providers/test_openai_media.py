"""Embeddings kept together and in order, and pictures counted."""

import base64
import struct
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.settings.providers import ProviderSettings
from tests.workers.building import work
from tests.workers.providers.stream_joining import odd_json
from workers.providers.dialect import Answer, ErrorReply, MalformedReplyError, Reply
from workers.providers.openai import OpenAI

ADAPTER = OpenAI(ProviderSettings())
TEXTS = ["a", "b", "c"]
ODD: list[Any] = [None, "", [], {}, ["x"], [None], 7]


def packed(*numbers: float) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def rows(*embeddings: Any) -> list[dict[str, Any]]:
    return [{"index": index, "embedding": each} for index, each in enumerate(embeddings)]


def answered(kind: str, body: Any, **fields: Any) -> Answer:
    return ADAPTER.answer(work(kind=kind, fields=fields), Reply(200, {}, orjson.dumps(body)))


class TestEmbeddings:
    def test_they_come_back_in_the_order_of_the_inputs(self) -> None:
        given = rows(packed(1), packed(2), packed(3))[::-1]
        usage = {"prompt_tokens": 3, "total_tokens": 3}
        got = answered("embedding", {"data": given, "usage": usage, "model": "m"}, input=TEXTS)
        assert [row["embedding"] for row in got.body["data"]] == [packed(1), packed(2), packed(3)]
        assert (got.text, got.finish_reason, got.body["model"]) == (None, "stop", "m")
        assert (got.usage.input_tokens, got.usage.output_tokens) == (3, 0)

    def test_numbers_from_a_server_that_packs_nothing_are_packed_here(self) -> None:
        got = answered("embedding", {"data": rows([0.5, -2, 1e-9])}, input="a")
        assert got.body["data"][0]["embedding"] == packed(0.5, -2, 1e-9)

    def test_who_asked_for_numbers_gets_them(self) -> None:
        got = answered("embedding", {"data": rows([0.5])}, input="a", encoding_format="float")
        assert got.body["data"][0]["embedding"] == [0.5]

    @pytest.mark.parametrize("inputs", ["a", ["a"], [1, 2, 3], [[1, 2, 3]]])
    def test_a_list_of_tokens_is_one_input(self, inputs: Any) -> None:
        assert answered("embedding", {"data": rows(packed(1))}, input=inputs).body["data"]

    @pytest.mark.parametrize(
        "given",
        [
            rows(packed(1), packed(2)),
            rows(packed(1), packed(2), packed(3), packed(4)),
            rows(packed(1), packed(2))[1:] * 3,
            [],
            7,
            [7, 8, 9],
            [{"embedding": packed(1)}] * 3,
            [{"index": str(n), "embedding": packed(1)} for n in range(3)],
            *(rows(packed(1), odd, packed(2)) for odd in ODD),
        ],
    )
    def test_one_that_is_missing_or_none_makes_all_of_them_malformed(self, given: Any) -> None:
        with pytest.raises(MalformedReplyError):
            answered("embedding", {"data": given}, input=TEXTS)

    @given(st.permutations(range(5)))
    def test_any_order_is_put_right(self, order: list[int]) -> None:
        given = rows(*(packed(n) for n in range(5)))
        got = answered("embedding", {"data": [given[n] for n in order]}, input=list("abcde"))
        assert got.body["data"] == given


class TestPictures:
    def test_each_is_counted_with_the_tokens_it_took(self) -> None:
        made = [{"b64_json": "QQ=="}, {"b64_json": "Qg==", "revised_prompt": "A black cat."}]
        usage = {"input_tokens": 9, "output_tokens": 544, "total_tokens": 553}
        got = answered("image", {"created": 1, "data": made, "usage": usage})
        assert got.body["data"] == made
        assert (got.usage.input_tokens, got.usage.output_tokens, got.usage.images) == (9, 544, 2)

    def test_without_a_usage_the_tokens_are_unknown_and_the_pictures_counted(self) -> None:
        got = answered("image", {"data": [{"url": "https://x/a.png"}]})
        assert (got.usage.input_tokens, got.usage.output_tokens, got.usage.images) == (
            None,
            None,
            1,
        )

    @pytest.mark.parametrize(
        "made", [None, 7, {}, [], [{}], [{"b64_json": 7}], [{"b64_json": ""}], [7], ["QQ=="]]
    )
    def test_no_pictures_are_malformed(self, made: Any) -> None:
        with pytest.raises(MalformedReplyError):
            answered("image", {"data": made})


@given(odd_json("data", "index", "embedding", "b64_json", "usage", "prompt_tokens", "error"))
def test_no_reply_whatever_breaks_it_in_another_way(body: Any) -> None:
    for kind in ("embedding", "image", "chat"):
        for each in (body, {"data": body}, {"data": [body]}, {"choices": [body], "usage": body}):
            try:
                answered(kind, each, input="a")
            except (ErrorReply, MalformedReplyError):
                continue
