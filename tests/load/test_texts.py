"""Texts of a wanted number of tokens: the number is kept, the text is varied and repeatable."""

import re
import time
from collections import Counter
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from splintr import Tokenizer

from broker.load.texts import ENCODING, TextMaker
from broker.records.errors import UsageError


@cache
def vocabulary() -> Any:
    return Tokenizer.from_pretrained(ENCODING)


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 9_000), st.integers(0, 2**32))
def test_a_text_has_the_tokens_that_were_asked_for(tokens: int, seed: int) -> None:
    text = TextMaker(seed).make(tokens)
    assert len(vocabulary().encode_ordinary(text)) == tokens


@pytest.mark.parametrize("tokens", range(1, 80))
def test_short_texts_are_exact_too(tokens: int) -> None:
    maker = TextMaker(7)
    for _ in range(5):
        assert len(vocabulary().encode_ordinary(maker.make(tokens))) == tokens


def test_the_same_seed_gives_the_same_texts_and_another_others() -> None:
    wanted = (5, 40, 700, 3000)
    first, again, other = TextMaker(3), TextMaker(3), TextMaker(4)
    made = [first.make(tokens) for tokens in wanted]
    assert made == [again.make(tokens) for tokens in wanted]
    assert all(a != b for a, b in zip(made[1:], (other.make(n) for n in wanted[1:]), strict=True))


def test_it_is_no_repeated_word() -> None:
    text = TextMaker(1).make(4_000)
    sentences = Counter(re.split(r"(?<=[.?!]) ", text))
    assert len(sentences) > 120
    assert max(sentences.values()) < 8
    assert len(set(text.split())) > 600
    openings = {TextMaker(seed).make(500).split(". ")[0] for seed in range(100)}
    assert len(openings) > 50


def test_a_thousand_texts_a_second() -> None:
    maker = TextMaker(0)
    began = time.process_time()
    for _ in range(1_000):
        maker.make(1_000)
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize("tokens", [0, -1, 1_000_001])
def test_a_size_that_cannot_be_made_is_refused(tokens: int) -> None:
    with pytest.raises(UsageError, match="cannot be made"):
        TextMaker().make(tokens)
