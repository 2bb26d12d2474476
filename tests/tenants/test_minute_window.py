"""In no 60 seconds does more begin than a limit of a minute says, and nothing waits for nothing."""

from hypothesis import given
from hypothesis import strategies as st

from broker.core.minute_slices import SLICE_S
from broker.core.minute_window import MinuteWindow
from broker.core.tenant_limits import MINUTE_S, Bounds

REQUESTS: Bounds = (10, None, None)
MINE = frozenset({0, 1})
ONE = (1.0, 100.0, 0.0)


def begin(window: MinuteWindow, now: float, bounds: Bounds = REQUESTS, **how: float) -> float:
    amounts = (1.0, how.get("tokens", 100.0), how.get("usd", 0.0))
    start, _ = window.earliest(amounts, bounds, how.get("share", 1.0), now)
    assert start is not None
    window.note(0, start, amounts)
    return start


def test_as_much_as_the_limit_begins_at_once_and_the_rest_when_the_first_is_a_minute_old() -> None:
    window = MinuteWindow(MINE)
    starts = [begin(window, 1_000.0) for _ in range(21)]
    assert starts[:10] == [1_000.0] * 10
    assert all(MINUTE_S <= at - 1_000.0 <= MINUTE_S + SLICE_S for at in starts[10:20])
    assert 2 * MINUTE_S <= starts[20] - 1_000.0 <= 2 * (MINUTE_S + SLICE_S)


def test_what_alone_is_more_than_the_limit_never_begins() -> None:
    window = MinuteWindow(MINE)
    assert window.earliest((1.0, 5_001.0, 0.0), (None, 5_000, None), 1.0, 0.0) == (None, 1)


def test_what_is_more_than_the_share_of_this_classifier_begins_when_all_have_room() -> None:
    window = MinuteWindow(MINE)
    bounds: Bounds = (None, 1_000, None)
    assert window.earliest((1.0, 800.0, 0.0), bounds, 0.5, 100.0)[0] == 100.0
    window.note(5, 100.0, (1.0, 300.0, 0.0))  # another classifier's
    start, dimension = window.earliest((1.0, 800.0, 0.0), bounds, 0.5, 100.0)
    assert dimension == 1
    assert start is not None
    assert start >= 160.0


def test_what_was_used_less_than_charged_is_free_again() -> None:
    window = MinuteWindow(MINE)
    bounds: Bounds = (None, 1_000, None)
    assert begin(window, 100.0, bounds, tokens=1_000.0) == 100.0
    window.note(0, 100.0, (0.0, -900.0, 0.0))
    assert begin(window, 101.0, bounds, tokens=900.0) == 101.0
    assert begin(window, 102.0, bounds, tokens=900.0) >= 160.0


def test_a_partition_that_comes_brings_what_was_begun_through_it() -> None:
    window = MinuteWindow(frozenset({0}))
    for _ in range(5):
        window.note(1, 100.0, ONE)
    assert window.earliest(ONE, REQUESTS, 0.5, 101.0)[0] == 101.0
    window.owns(frozenset({1}))
    later, _ = window.earliest(ONE, REQUESTS, 0.5, 101.0)
    assert later is not None
    assert later >= 160.0


@given(
    st.lists(
        st.tuples(
            st.floats(0.0, 20.0),
            st.floats(1.0, 400.0),
            st.sampled_from([0.0, -0.5, 0.0]),
        ),
        max_size=120,
    )
)
def test_no_60_seconds_have_more_than_the_limit(asked: list[tuple[float, float, float]]) -> None:
    window, bounds = MinuteWindow(MINE), (10, 1_000.0, None)
    now, begun = 50_000.0, []
    for pause, tokens, given_back in asked:
        now += pause
        amounts = (1.0, tokens, 0.0)
        start, _ = window.earliest(amounts, bounds, 1.0, now)
        assert start is not None
        assert start >= now
        if start - now > 90.0:
            continue  # refused
        window.note(0, start, amounts)
        begun.append([start, tokens])
        if given_back:
            window.note(0, start, (0.0, tokens * given_back, 0.0))
            begun[-1][1] += tokens * given_back
    assert begun == sorted(begun, key=lambda one: one[0])
    for at, _ in begun:
        within = [tokens for start, tokens in begun if at - MINUTE_S < start <= at]
        assert len(within) <= 10
        assert sum(within) <= 1_000.0 * (1 + 1e-6)


@given(st.lists(st.floats(0.0, 30.0), max_size=60))
def test_a_prompt_waits_no_longer_than_a_slice_beyond_need(pauses: list[float]) -> None:
    """Exact: it begins within a slice of when the tenth before it is a minute old."""
    window, now, starts = MinuteWindow(MINE), 7_000.0, list[float]()
    for pause in pauses:
        now += pause
        start = begin(window, now)
        need = max(now, starts[-1] if starts else 0.0)
        if len(starts) >= 10:
            need = max(need, starts[-10] + MINUTE_S)
        assert need <= start <= need + SLICE_S + 1e-6
        starts.append(start)
