"""What is kept ready says what the worker's own measurements say."""

from random import Random

import pytest

from broker.simulate.quiet_tallies import SortedRecent
from workers.tallies import Recent


@pytest.mark.parametrize("rate", [1.0, 20.0, 200.0])
def test_it_says_the_same_as_what_is_sorted_each_time(rate: float) -> None:
    chance, ready, plain, now = Random(1), SortedRecent(), Recent(), 0.0
    for _ in range(3_000):
        now += 30.0 if chance.random() < 0.001 else chance.expovariate(rate)
        first, tokens = chance.choice((None, chance.random())), chance.choice((None, 0, 5, 9))
        ready.answered(first, tokens, now)
        plain.answered(first, tokens, now)
        if chance.random() < 0.1:
            for share in (0.5, 0.95):
                assert ready.first_token_s(share, now) == plain.first_token_s(share, now)
            assert ready.output_tokens_s(now) == pytest.approx(plain.output_tokens_s(now))


def test_nothing_is_said_of_nothing() -> None:
    recent = SortedRecent()
    assert recent.first_token_s(0.5, 1.0) is None
    assert recent.output_tokens_s(1.0) is None
