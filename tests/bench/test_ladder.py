"""The search for the highest rate that holds."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from broker.bench.ladder import Ladder, nearest

RUNGS = st.lists(st.floats(min_value=1, max_value=1e5), min_size=1, max_size=80, unique=True).map(
    sorted
)


def climb(ladder: Ladder, holds: Callable[[float], bool]) -> tuple[float | None, list[float]]:
    tried: list[float] = []
    while (rate := ladder.next_rung) is not None:
        assert len(tried) < 200, "the search does not end"
        tried.append(rate)
        ladder = ladder.after(holds(rate))
    return ladder.best, tried


@given(st.data())
def test_it_finds_the_highest_rung_that_holds_in_few_tries(data: st.DataObject) -> None:
    rungs = data.draw(RUNGS)
    start = data.draw(st.integers(min_value=0, max_value=len(rungs) - 1))
    stride = data.draw(st.integers(min_value=1, max_value=8))
    limit = data.draw(st.floats(min_value=0, max_value=2e5))
    best, tried = climb(Ladder(rungs, start, stride), lambda rate: rate <= limit)
    assert best == max((rate for rate in rungs if rate <= limit), default=None)
    assert len(tried) == len(set(tried))
    assert len(tried) <= 2 * len(rungs).bit_length() + 2


@given(RUNGS, st.lists(st.booleans(), min_size=200, max_size=200))
def test_a_noisy_machine_ends_the_search_all_the_same(
    rungs: list[float], answers: list[bool]
) -> None:
    said = iter(answers)
    held: list[float] = []

    def holds(rate: float) -> bool:
        if next(said):
            held.append(rate)
            return True
        return False

    best, _ = climb(Ladder(rungs, len(rungs) // 2), holds)
    assert best in held if held else best is None


def test_who_stands_right_needs_two_tries() -> None:
    rungs = tuple(float(rate) for rate in range(50, 3_001, 50))
    best, tried = climb(Ladder(rungs, nearest(rungs, 990)), lambda rate: rate <= 1_000)
    assert (best, tried) == (1_000, [1_000, 1_050])
