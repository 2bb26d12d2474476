"""What a worker measures of its calls, without what only people look at."""

from workers.expectations import Expectations
from workers.tallies import Recent, Speed, Tallies


class Unheard(Recent):
    """Takes nothing in: nobody routes by times to the first token, nor by tokens a second."""

    def answered(self, first_token_s: float | None, output_tokens: int | None, now: float) -> None:
        """A call was answered."""


class QuietTallies(Tallies):
    """The measured speed, and what calls take."""

    def __init__(self) -> None:
        self.speed = Speed()
        self.recent = Unheard()
        self.expected = Expectations()
