"""Which dedupe windows are kept when partitions come and go."""

from broker.classifier.windows import Windows


def test_a_window_that_knows_more_than_the_base_is_made_anew() -> None:
    """Met again after a set-back, an id would be judged as of a later time, and then dropped."""
    windows = Windows(10.0, 10_000)
    windows.assign({0: 5, 1: 7})
    windows.of(0).window.check("a", 4, 1.0)
    windows.of(0).covers = 5
    windows.of(1).window.check("b", 9, 1.0)
    windows.of(1).covers = 10
    kept, ahead = windows.of(0), windows.of(1)
    windows.assign({0: 5, 1: 7})
    assert windows.of(0) is kept
    assert windows.of(1) is not ahead
    assert (windows.of(1).covers, len(windows.of(1).window)) == (None, 0)


def test_a_window_behind_the_base_is_kept_and_one_of_a_lost_partition_is_not() -> None:
    windows = Windows(10.0, 10_000)
    windows.assign({0: 0, 1: 0})
    windows.of(0).covers = 3
    kept = windows.of(0)
    windows.assign({0: 9})
    assert windows.of(0) is kept
    assert windows.ids == 0
