"""A straight line through measured times, by relative error, no coefficient below zero. Pure."""

from bisect import bisect_left
from collections.abc import Sequence
from math import ceil
from typing import Final

Row = tuple[float, float, float]
"""What a time hangs on: 1, tokens in, tokens out."""

_ROUNDS: Final = 4
_LEAST: Final = 1e-6
_TINY: Final = 1e-12


def fit_line(rows: Sequence[Row], seconds: Sequence[float]) -> Row:
    """Coefficients of the line whose relative errors are least, in the sense of least squares.

    Weighted least squares, where each time weighs as the line of the round before says. A
    coefficient that would be negative is left out.
    """
    weights = [1.0 / max(took, _LEAST) ** 2 for took in seconds]
    line: Row = (0.0, 0.0, 0.0)
    for _ in range(_ROUNDS):
        line = _not_negative(rows, seconds, weights)
        weights = [1.0 / max(value(line, row), _LEAST) ** 2 for row in rows]
    return line


def value(line: Row, row: Row) -> float:
    """The line's time for these."""
    return line[0] * row[0] + line[1] * row[1] + line[2] * row[2]


def quantiles(values: Sequence[float], steps: int) -> tuple[float, ...]:
    """`steps` + 1 values at equal distances of rank, the least and the greatest among them."""
    ordered = sorted(values)
    last = len(ordered) - 1
    return tuple(ordered[ceil(last * step / steps)] for step in range(steps + 1))


def between(marks: Sequence[float], share: float) -> float:
    """The value at this share of `quantiles`, straight between two of them."""
    place = share * (len(marks) - 1)
    below = int(place)
    if below >= len(marks) - 1:
        return marks[-1]
    return marks[below] + (place - below) * (marks[below + 1] - marks[below])


def share_at(marks: Sequence[float], mark: float) -> float:
    """The other way round: at which share of `quantiles` this value is."""
    above = bisect_left(marks, mark)
    if above in {0, len(marks)}:
        return min(1.0, above / (len(marks) - 1))
    low, high = marks[above - 1], marks[above]
    part = (mark - low) / (high - low) if high > low else 0.0
    return (above - 1 + part) / (len(marks) - 1)


def _not_negative(rows: Sequence[Row], seconds: Sequence[float], weights: Sequence[float]) -> Row:
    used = [0, 1, 2]
    while True:
        found = _solved(rows, seconds, weights, used)
        worst = min(used, key=lambda column: found[column])
        if found[worst] >= 0 or len(used) == 1:
            return max(0.0, found[0]), max(0.0, found[1]), max(0.0, found[2])
        used.remove(worst)


def _solved(
    rows: Sequence[Row], seconds: Sequence[float], weights: Sequence[float], used: Sequence[int]
) -> Row:
    """The normal equations of the columns in use, by elimination; 0 for the others."""
    size = len(used)
    matrix = [[0.0] * (size + 1) for _ in used]
    for row, took, weight in zip(rows, seconds, weights, strict=True):
        picked = [row[column] for column in used]
        for i in range(size):
            scaled = weight * picked[i]
            line = matrix[i]
            for j in range(size):
                line[j] += scaled * picked[j]
            line[size] += scaled * took
    solved = [0.0, 0.0, 0.0]
    for i in range(size):
        pivot = max(range(i, size), key=lambda r, i=i: abs(matrix[r][i]))  # type: ignore[misc]  # bound at once
        matrix[i], matrix[pivot] = matrix[pivot], matrix[i]
        if abs(matrix[i][i]) < _TINY:
            matrix[i] = [0.0] * (size + 1)
            continue
        matrix[i] = [one / matrix[i][i] for one in matrix[i]]
        for r in range(size):
            if r != i:
                factor = matrix[r][i]
                matrix[r] = [a - factor * b for a, b in zip(matrix[r], matrix[i], strict=True)]
    for i, column in enumerate(used):
        solved[column] = matrix[i][size]
    return solved[0], solved[1], solved[2]
