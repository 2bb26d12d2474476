"""What calls take at a provider, and how wrong the expectation was lately. Pure.

A worker learns both from its own calls and says them in `llm.providers`; who routes reads them.
"""

from collections.abc import Mapping
from math import exp, log
from typing import Final

from broker.core.lanes import LANES, Lane

ANY: Final = ""
"""Stands for all models together, where one has not been called yet."""
_KEPT: Final = 0.98
"""What each further call leaves of those before it: about 50 count."""
_FEWEST: Final = 2.5
"""Three calls, as they forget."""
_MOST_MODELS: Final = 100
_RATIO_KEPT: Final = 0.9
_FORGOTTEN_S: Final = 20.0
"""What was wrong is taken to be over by half after so long without a word of it."""
_MOST_WRONG: Final = 4.0
_SLACK_S: Final = 0.25
"""Of every prompt's time that no expectation is about: commits and fetches."""


class ServiceTimes:
    """Seconds of a call by its output tokens, for each model: a first part and one for each token.

    A straight line through about the last fifty calls, by least squares that forget. Where all
    had the same length, the line goes through nothing: all of the time is then a token's.
    """

    __slots__ = ("_sums",)

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = {}

    def measured(self, model: str, output_tokens: int, seconds: float) -> None:
        """A call that was answered took so long. Models beyond a hundred share one line."""
        for name in (model, ANY):
            sums = self._sums.get(name)
            if sums is None:
                if len(self._sums) > _MOST_MODELS:
                    continue
                sums = self._sums[name] = [0.0] * 5
            n, x, y, xx, xy = (one * _KEPT for one in sums)
            tokens = float(output_tokens)
            sums[:] = (
                n + 1.0,
                x + tokens,
                y + seconds,
                xx + tokens * tokens,
                xy + tokens * seconds,
            )

    def lines(self) -> dict[str, tuple[float, float]]:
        """Seconds to the first token and for each further one, by model; only what is known."""
        return {model: _line(*sums) for model, sums in self._sums.items() if sums[0] >= _FEWEST}


def _line(n: float, x: float, y: float, xx: float, xy: float) -> tuple[float, float]:
    spread = n * xx - x * x
    if spread <= 1e-6 * n * xx:  # one length only
        return (0.0, y / x) if x > 0 else (y / n, 0.0)
    each = max(0.0, (n * xy - x * y) / spread)
    first = (y - each * x) / n
    if first < 0.0:  # the longest ones alone would make a line that begins before the call
        return 0.0, y / x
    return first, each


def call_seconds(
    lines: Mapping[str, tuple[float, float]], model: str, output_tokens: int
) -> float | None:
    """What a call should take once it has begun; None before anything is known."""
    line = lines.get(model) or lines.get(ANY)
    return None if line is None else line[0] + line[1] * output_tokens


class Lateness:
    """By lane, real over expected time from a prompt's routing to its answer, of late.

    A geometric mean that forgets by calls and by time, from a quarter to four times.
    """

    __slots__ = ("_at", "_logs")

    def __init__(self) -> None:
        self._logs: dict[Lane, float] = {}
        self._at: dict[Lane, float] = {}

    def met(self, lane: Lane, expected_s: float, real_s: float, now: float) -> None:
        """A prompt took so long from its routing on; `expected_s` without any correction."""
        ratio = (max(0.0, real_s) + _SLACK_S) / (max(0.0, expected_s) + _SLACK_S)
        wrong = log(min(_MOST_WRONG, max(1 / _MOST_WRONG, ratio)))
        before = self._log(lane, now)
        self._logs[lane] = before * _RATIO_KEPT + wrong * (1 - _RATIO_KEPT)
        self._at[lane] = now

    def factors(self, now: float) -> dict[str, float]:
        """What an expectation is to be multiplied by, where that is not one."""
        found = {lane: round(exp(self._log(lane, now)), 3) for lane in LANES if lane in self._logs}
        return {lane: factor for lane, factor in found.items() if factor != 1.0}

    def _log(self, lane: Lane, now: float) -> float:
        known = self._logs.get(lane, 0.0)
        age = max(0.0, now - self._at.get(lane, now))
        return float(known * 0.5 ** (age / _FORGOTTEN_S))
