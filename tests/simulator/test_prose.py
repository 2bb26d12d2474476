"""Texts of an exact length, counted by the vocabulary itself."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from splintr import Tokenizer

from workers.simulator.draws import draw
from workers.simulator.prose import ENCODING, Prose

PROSE = Prose()
ENCODE: Callable[[str], Sequence[Any]] = Tokenizer.from_pretrained(ENCODING).encode_ordinary


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 600), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_a_text_has_the_tokens_it_was_asked_for(length: int, start: float, stride: float) -> None:
    for cut in (False, True):
        tokens = PROSE.write(length, start, stride, cut=cut)
        assert len(tokens) == length
        assert len(ENCODE("".join(tokens))) == length


@settings(deadline=None)
@given(st.integers(2, 300), st.floats(0, 1, exclude_max=True), st.floats(0, 1, exclude_max=True))
def test_a_whole_text_ends_with_a_sentence_and_a_cut_one_does_not(
    length: int, start: float, stride: float
) -> None:
    assert "".join(PROSE.write(length, start, stride)).endswith(".")
    assert not "".join(PROSE.write(length, start, stride, cut=True)).endswith(".")


def test_texts_differ_and_repeat_with_their_seed() -> None:
    texts = {"".join(PROSE.write(60, *draw(1, number)[:2])) for number in range(500)}
    assert len(texts) > 450
    again = "".join(PROSE.write(60, *draw(1, 7)[:2]))
    assert again in texts


def test_a_long_text_uses_the_whole_corpus_before_it_repeats() -> None:
    text = "".join(PROSE.write(1_200, 0.3, 0.9))
    sentences = text.split(". ")
    assert len(set(sentences)) > 0.95 * len(sentences)


@pytest.mark.parametrize("text", ["", "Hello there.", "naïve 你好 🎉", "\ud800", "x" * 100_000])
def test_counting_a_prompt_never_fails(text: str) -> None:
    counted = PROSE.count([text])
    assert (counted == 0) == (text == "")
