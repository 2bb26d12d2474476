"""Our adapters against llama.cpp's own server: answers, streams, embeddings and errors of others.

The model says random bytes, so most of its answers are broken in the middle of a character.
"""

import asyncio
import base64
import struct
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from broker.core.retries import Transport
from broker.settings import load_settings
from tests.llama.tiny_model import CONTEXT, WIDTH
from tests.workers.building import MODEL, on_loop, work
from workers.calling import CallResult, ProviderClient
from workers.parts import build_client
from workers.providers.dialect import Answer, Piece

DIALECTS = ("openai", "vllm")


@pytest.fixture(params=DIALECTS)
def asked(request: pytest.FixtureRequest, llama: str) -> "Asked":
    """Asks the server in one dialect."""
    return Asked(llama, str(request.param))


class Asked:
    def __init__(self, url: str, dialect: str) -> None:
        self._settings = load_settings(
            models={MODEL: {}, "vectors": {"kind": "embedding"}},
            providers={
                "llama": {
                    "dialect": dialect,
                    "base_url": f"{url}/v1",
                    "auth": "none",
                    "models": {MODEL: "tiny", "vectors": "tiny"},
                }
            },
        )

    def client(self) -> ProviderClient:
        """A new one; inside the event loop."""
        return build_client(self._settings, "llama")

    def call(self, **given: Any) -> tuple[CallResult, list[Piece]]:
        """The end of one call, and the pieces that came before it."""
        return self.calls([given])[0]

    def calls(self, many: Sequence[dict[str, Any]]) -> list[tuple[CallResult, list[Piece]]]:
        async def main() -> list[tuple[CallResult, list[Piece]]]:
            client = self.client()
            found = []
            try:
                for given in many:
                    pieces: list[Piece] = []
                    prepared = await client.prepare(work(**given))
                    found.append((await client.call(prepared, 1, pieces.extend), pieces))
            finally:
                await client.close()
            return found

        return on_loop(main())

    def answer(self, **given: Any) -> Answer:
        result, _ = self.call(**given)
        assert result.answer is not None, (result.status, result.code, result.message)
        return result.answer

    def vectors(self, *texts: str, encoding_format: str = "float") -> list[Any]:
        """The embeddings of these texts, of which the usage tells too."""
        fields = {"input": list(texts), "encoding_format": encoding_format}
        got = self.answer(fields=fields, kind="embedding", model="vectors")
        assert (got.usage.input_tokens or 0) > 0
        return [one["embedding"] for one in got.body["data"]]


def text_of(pieces: Sequence[Piece]) -> str:
    return "".join(piece.delta.get("content") or "" for piece in pieces)


class TestChat:
    def test_a_whole_answer_has_its_text_usage_and_reason(self, asked: Asked) -> None:
        got = asked.answer(fields={"max_output_tokens": 9, "ignore_eos": True})
        assert got.text
        assert got.body["choices"][0]["message"]["content"] == got.text
        assert got.finish_reason == "length"
        assert got.usage.output_tokens == 9
        assert (got.usage.input_tokens or 0) > len("Why is the sky blue?")

    def test_messages_a_system_text_and_sampling_fields_are_understood(self, asked: Asked) -> None:
        messages = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": [{"type": "text", "text": "Why?"}]},
        ]
        same = {"messages": messages, "seed": 5, "temperature": 0, "max_output_tokens": 12}
        first, second = (answer for answer, _ in asked.calls([{"fields": same}] * 2))
        assert first.answer is not None
        assert second.answer is not None
        assert first.answer.text == second.answer.text

    def test_the_prompts_own_end_is_a_stop(self, asked: Asked) -> None:
        given = {"seed": 3, "temperature": 0, "max_output_tokens": 60}
        whole = asked.answer(fields=given).text or ""
        end = next(char for char in whole[3:] if char.isascii())
        got = asked.answer(fields={**given, "stop": [end]})
        assert got.finish_reason == "stop"
        assert got.text == whole[: whole.index(end)]

    def test_an_answer_without_a_limit_ends_with_the_context(self, asked: Asked) -> None:
        got = asked.answer(fields={"ignore_eos": True})
        assert got.finish_reason == "length"
        assert (got.usage.input_tokens or 0) + (got.usage.output_tokens or 0) == CONTEXT

    def test_several_choices_come_in_one_answer(self, asked: Asked) -> None:
        got = asked.answer(fields={"n": 2, "max_output_tokens": 5})
        assert [choice["index"] for choice in got.body["choices"]] == [0, 1]


class TestStreams:
    def test_its_pieces_are_the_answer_and_its_usage_comes_last(self, asked: Asked) -> None:
        result, pieces = asked.call(fields={"max_output_tokens": 40, "ignore_eos": True},
                                    stream=True)  # fmt: skip
        got = result.answer
        assert got is not None, (result.status, result.code, result.message)
        assert text_of(pieces) == got.text
        assert len(pieces) > 5
        assert pieces[-1].finish_reason == got.finish_reason == "length"
        assert got.usage.output_tokens == 40
        assert result.first_token_s is not None
        assert result.first_token_s <= result.seconds

    def test_it_is_what_the_whole_answer_would_have_been(self, asked: Asked) -> None:
        same = {"seed": 11, "temperature": 0, "max_output_tokens": 50}
        (whole, _), (streamed, _) = asked.calls(
            [{"fields": same}, {"fields": same, "stream": True}]
        )
        assert whole.answer is not None
        assert streamed.answer is not None
        assert (streamed.answer.text or "").rstrip("\ufffd") == (whole.answer.text or "").rstrip(
            "\ufffd"
        )
        assert streamed.answer.usage.output_tokens == whole.answer.usage.output_tokens

    def test_characters_broken_anywhere_are_text_or_a_failed_stream(self, asked: Asked) -> None:
        """The server cuts its answers at any byte: each is whole, or named as broken."""
        many = [
            {"fields": {"seed": seed, "temperature": 2.0, "max_output_tokens": 1 + seed % 17},
             "stream": seed % 2 == 0}
            for seed in range(60)
        ]  # fmt: skip
        whole, failed = 0, []
        for result, pieces in asked.calls(many):
            if result.answer is None:
                failed.append(result.transport)
                continue
            whole += 1
            assert orjson.loads(orjson.dumps(result.answer.body)) == result.answer.body
            text = result.answer.text
            assert text is None or text.encode().decode() == text
            if pieces:
                assert text_of(pieces) == (text or "")
        assert whole > 0
        assert set(failed) <= {Transport.MALFORMED, Transport.STREAM_CUT, Transport.CUT}

    def test_a_call_behind_a_stream_is_not_cut_once_the_server_was_seen_to_close_there(
        self, asked: Asked
    ) -> None:
        """It does so without a word; calls would follow streams on connections that are gone."""
        fields = {"max_output_tokens": 3, "ignore_eos": True}

        async def main() -> int:
            client = asked.client()
            cut = 0
            try:
                async with asyncio.timeout(30):
                    while not client._stream_ends.headers():  # noqa: SLF001 - what it has learned
                        await client.call(await client.prepare(work(fields=fields, stream=True)), 1)
                for number in range(40):
                    given = work(fields=fields, stream=number % 2 == 0)
                    result = await client.call(await client.prepare(given), 1)
                    cut += result.transport is Transport.CUT
            finally:
                await client.close()
            return cut

        assert on_loop(main()) <= 1, "one may be left from before"


class TestEmbeddings:
    def test_vectors_keep_the_order_of_the_inputs(self, asked: Asked) -> None:
        both = asked.vectors("sky", "sea")
        (sea,) = asked.vectors("sea")
        assert [len(one) for one in both] == [WIDTH, WIDTH]
        assert both[1] == pytest.approx(sea, abs=1e-5)
        assert both[0] != pytest.approx(sea, abs=1e-3)

    def test_base64_holds_the_same_numbers(self, asked: Asked) -> None:
        (packed,) = asked.vectors("sky", encoding_format="base64")
        assert isinstance(packed, str)
        numbers = struct.unpack(f"<{WIDTH}f", base64.b64decode(packed))
        assert list(numbers) == pytest.approx(asked.vectors("sky")[0], abs=1e-5)


class TestErrors:
    @pytest.mark.parametrize("stream", [False, True])
    def test_a_prompt_that_is_too_long_is_told_in_the_servers_words(
        self, asked: Asked, *, stream: bool
    ) -> None:
        result, pieces = asked.call(text="word " * CONTEXT, stream=stream)
        assert result.answer is None
        assert (result.status, result.kind) == (400, "exceed_context_size_error")
        assert "context size" in result.message
        assert not pieces

    def test_a_part_that_it_cannot_read_is_its_error(self, asked: Asked) -> None:
        image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
        result, _ = asked.call(fields={"messages": [{"role": "user", "content": [image]}]})
        assert result.answer is None
        assert (result.status, result.kind) == (500, "server_error")
