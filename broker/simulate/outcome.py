"""How a replay went: one row for each prompt, in packed columns."""

from array import array
from collections import Counter
from dataclasses import dataclass, field

from broker.core.lanes import LANES
from broker.records.completion import STATUSES, Status
from broker.simulate.asked import Asked

PENDING = 255
"""The status of a prompt that has no end."""
NOBODY = 255
"""The provider of a prompt that ended before it had one, and its lane where it was not weighed."""


class EndedTwiceError(AssertionError):
    """A prompt was given a second end: a defect of the simulation."""


@dataclass(slots=True)
class Outcome:
    """Columns by the prompt's number. Times are seconds since the first prompt came.

    `cost` is in US dollars, NaN where nothing of it is known.
    """

    prompts: tuple[Asked, ...] = field(repr=False)
    providers: tuple[str, ...]
    began: float
    came: "array[float]" = field(init=False, repr=False)
    ended: "array[float]" = field(init=False, repr=False)
    cost: "array[float]" = field(init=False, repr=False)
    status: bytearray = field(init=False, repr=False)
    lane: bytearray = field(init=False, repr=False)
    provider: bytearray = field(init=False, repr=False)
    calls: "array[int]" = field(init=False, repr=False)
    moves: "array[int]" = field(init=False, repr=False)
    codes: Counter[str] = field(default_factory=Counter)
    """Of the ends that are no answers."""
    moved: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Moves from a provider to another."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Of the first choices."""
    estimated: bool = False
    """Whether some of the costs were."""
    events: int = 0

    def __post_init__(self) -> None:
        count = len(self.prompts)
        self.came = array("d", (one.prompt.accepted_at - self.began for one in self.prompts))
        self.ended = array("d", bytes(8 * count))
        self.cost = array("d", bytes(8 * count))
        self.status = bytearray([PENDING]) * count
        self.lane = bytearray([NOBODY]) * count
        self.provider = bytearray([NOBODY]) * count
        self.calls = array("H", bytes(2 * count))
        self.moves = array("H", bytes(2 * count))

    def end(
        self,
        number: int,
        status: Status,
        code: str,
        at: float,
        *,
        lane: str = "",
        provider: str = "",
    ) -> None:
        """Prompt `number` has its completion, at this time of the events."""
        if self.status[number] != PENDING:
            raise EndedTwiceError(f"prompt {number} ended twice")
        self.status[number] = STATUSES.index(status)
        self.ended[number] = at - self.began
        if lane:
            self.lane[number] = LANES.index(lane)
        if provider:
            self.provider[number] = self.providers.index(provider)
        if code:
            self.codes[code] += 1
