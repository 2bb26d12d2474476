"""Feeds streams cut anywhere to an assembler, and joins the pieces that it tells."""

import contextlib
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from hypothesis import strategies as st

from tests.workers.local_provider import DONE, chunk
from workers.providers.dialect import (
    Answer,
    Assembler,
    CutStreamError,
    ErrorReply,
    MalformedReplyError,
    Piece,
)
from workers.providers.openai_stream import ChatAssembler


def assembled(assembler: Assembler, parts: Sequence[bytes]) -> tuple[Answer, list[Piece]]:
    """The answer, and the pieces that were told on the way."""
    pieces = [piece for part in parts for piece in assembler.feed(part)]
    return assembler.answer(), pieces


def split_at(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The data in parts; cuts beyond its end begin again at its start."""
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(places)]


def joined(pieces: Sequence[Piece]) -> list[dict[str, Any]]:
    """The choices that a reader of the pieces puts together, as the chat's chunks that they are."""
    chunks = [
        chunk(
            choices=[
                {"index": each.index, "delta": each.delta, "finish_reason": each.finish_reason}
            ]
        )
        for each in pieces
    ]
    choices: list[dict[str, Any]] = assembled(ChatAssembler(1), [*chunks, DONE])[0].body["choices"]
    return choices


def same_pieces(answer: Answer, pieces: Sequence[Piece]) -> None:
    """What a reader of the pieces knows is what the answer says."""
    told = joined(pieces)
    assert len(told) == len(answer.body["choices"])
    for mine, whole in zip(told, answer.body["choices"], strict=True):
        assert mine["finish_reason"] == whole["finish_reason"]
        for name in ("content", "refusal", "tool_calls", "reasoning_content"):
            assert mine["message"].get(name) == whole["message"].get(name), name


def survives(make: Callable[[], Assembler], parts: Sequence[bytes]) -> None:
    """Only the errors of ours come of it, whatever the parts are; its usage can always be asked."""
    assembler = make()
    with contextlib.suppress(CutStreamError, ErrorReply, MalformedReplyError):
        for part in parts:
            assembler.feed(part)
        assembler.answer()
    assert isinstance(assembler.begun, bool)
    assert isinstance(assembler.ended, bool)
    assert assembler.usage.cached_input_tokens >= 0


def odd_json(*names: str) -> st.SearchStrategy[Any]:
    """Any JSON made of these names, and now and then of others."""
    words = st.sampled_from(names)
    return st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | words | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
        max_leaves=25,
    )


def event(data: Any) -> bytes:
    """One event of a stream."""
    return b"data: " + orjson.dumps(data) + b"\n\n"
