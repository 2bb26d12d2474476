"""Which cancels a process remembers, and which prompts they mean."""

from hypothesis import given
from hypothesis import strategies as st

from broker.core.cancels import SKEW_S, Cancels

DAY = 86_400.0


def test_a_cancel_means_the_prompt_that_was_accepted_before_it() -> None:
    cancels = Cancels()
    cancels.note("a", 1_000.0)
    assert cancels.covers("a", 0.0)
    assert cancels.covers("a", 1_000.0)
    assert not cancels.covers("b", 0.0)


def test_an_id_that_is_used_again_after_its_cancel_is_another_prompt() -> None:
    cancels = Cancels()
    cancels.note("a", 1_000.0)
    assert cancels.covers("a", 1_000.0 + SKEW_S)
    assert not cancels.covers("a", 1_000.1 + SKEW_S)


def test_cancels_of_another_order_do_not_take_back_a_later_one() -> None:
    cancels = Cancels()
    cancels.note("a", 1_000.0)
    cancels.note("a", 500.0)
    assert cancels.covers("a", 1_000.0)


def test_beyond_the_bound_the_oldest_is_forgotten_and_counted() -> None:
    cancels = Cancels(most=3)
    for number in range(5):
        cancels.note(f"p{number}", float(number))
    assert [cancels.covers(f"p{number}", 0.0) for number in range(5)] == [
        *(False, False),
        *(True, True, True),
    ]
    assert cancels.forgotten == 2


def test_what_is_asked_again_is_the_newest_and_is_kept() -> None:
    cancels = Cancels(most=2)
    for name in ("a", "b", "a", "c"):
        cancels.note(name, 1.0)
    assert cancels.covers("a", 0.0)
    assert not cancels.covers("b", 0.0)


def test_after_a_day_a_cancel_is_forgotten_and_not_counted_as_lost() -> None:
    cancels = Cancels()
    cancels.note("a", 0.0)
    cancels.note("b", DAY + 1)
    assert not cancels.covers("a", 0.0)
    assert (len(cancels), cancels.forgotten) == (1, 0)


@given(st.lists(st.tuples(st.sampled_from("abcdefgh"), st.floats(0, 1e6))), st.integers(1, 6))
def test_it_never_remembers_more_than_its_bound(asked: list[tuple[str, float]], most: int) -> None:
    cancels = Cancels(most=most)
    for name, at in asked:
        cancels.note(name, at)
        assert cancels.covers(name, at)
        assert len(cancels) <= most
