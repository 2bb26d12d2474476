"""What a worker has said of its prompts' times, and what it learns from how they came."""

from dataclasses import dataclass, field
from typing import Final

from broker.core.eta import Kind, Ranges
from broker.core.lanes import Lane
from broker.records.progress import ProgressState
from workers.job import Job, JobState

WORTH_S: Final = 1.0
"""What is expected to end within this is not worth a word."""
AGAIN_S: Final = 60.0
"""What was said longer ago is said again, as far as there is room."""
_CHANGED: Final = 1.5
"""And what changed by more than this factor, or left the range."""
_MOST_KEPT: Final = 20_000
"""Prompts whose words are kept until they come true; of others nothing is said."""
_EXPIRES_S: Final = 0.5
"""What is not started by its deadline has ended so soon after it."""


@dataclass(frozen=True, slots=True)
class Word:
    """Something said: so many seconds from `since`, and the range; unix seconds.

    `at` is when it was said, `since` the same, or when something may begin at the earliest.
    """

    kind: Kind
    lane: Lane
    at: float
    since: float
    expected_s: float
    low: float
    high: float


@dataclass(slots=True)
class _Said:
    """All that was said of a job and has not come true."""

    state: ProgressState
    at: float = 0.0
    ends_at: float = 0.0
    high: float = 0.0
    words: list[Word] = field(default_factory=list)


class Words:
    """Makes ranges of expectations, and remembers them until they have come. Not thread-safe."""

    def __init__(self) -> None:
        self.ranges = Ranges()
        self._said: dict[Job, _Said] = {}

    def __len__(self) -> int:
        """Of how many prompts something was said that has not come true."""
        return len(self._said)

    def is_news(self, job: Job, state: ProgressState, ends_s: float, now: float) -> bool:
        """Whether it is worth a word, and not what was said of it already."""
        said = self._said.get(job)
        if said is None:
            # Of what comes from another provider something else was said there.
            worth = ends_s >= WORTH_S or job.work.moves > 0
            return worth and len(self._said) < _MOST_KEPT
        if said.state != state or now > said.high or now - said.at > AGAIN_S:
            return True
        left = max(0.0, said.ends_at - now) + WORTH_S
        return not left / _CHANGED <= ends_s + WORTH_S <= left * _CHANGED

    def stands(self, job: Job, state: ProgressState, now: float) -> bool:
        """Whether what was said of it in this state may still come true."""
        said = self._said.get(job)
        return said is not None and said.state == state and now <= said.high

    def say(
        self, job: Job, kind: Kind, expected_s: float, now: float, *, since: float | None = None
    ) -> Word:
        """A word of what is expected so many seconds after `since`, which is now if not given."""
        since = now if since is None else max(now, since)
        low, high = self.ranges.of(kind, job.lane, expected_s)
        low, high = since + low, since + high
        if job.deadline is not None and kind != "start":
            low = min(low, max(now, job.deadline))
            high = min(high, max(now, job.deadline) + _EXPIRES_S)
        word = Word(kind, job.lane, now, since, expected_s, low, high)
        said = self._said.get(job)
        if said is None:
            said = self._said[job] = _Said("waiting")
        said.words.append(word)
        return word

    def told(self, job: Job, state: ProgressState, ends: Word) -> None:
        """These words have gone out, with this end among them."""
        said = self._said[job]
        said.state, said.at, said.high = state, ends.at, ends.high
        said.ends_at = ends.since + ends.expected_s

    def left(self, job: Job, wait_s: float, ends_s: float | None, now: float) -> bool:
        """It goes to another provider, to be begun and answered there after so many seconds.

        What was said of it here is taken to come true then: if only what stays taught anything, a
        provider that is left would learn from the few that were not. True when something was said.
        """
        said = self._said.pop(job, None)
        if said is None:
            return False
        self._came(said, ("start",), now + wait_s)
        if ends_s is not None:
            self._came(said, ("end", "call", "overdue"), now + ends_s)
        return True

    def elsewhere(self, lane: Lane, ends_s: float, now: float) -> tuple[float, float]:
        """The range of an end at another provider, until a worker there has spoken."""
        low, high = self.ranges.of("moved", lane, ends_s)
        return now + low, now + high

    def learn(self) -> None:
        """Compare what was said with what came; forget what never will."""
        for job, said in list(self._said.items()):
            if job.first_call_at is not None:
                self._came(said, ("start",), job.first_call_at)
            if job.answered_at is not None:
                self._came(said, ("end", "call", "overdue"), job.answered_at)
            if job.state in (JobState.SETTLED, JobState.GONE):
                del self._said[job]

    def _came(self, said: _Said, kinds: tuple[Kind, ...], at: float) -> None:
        left = []
        for word in said.words:
            if word.kind not in kinds:
                left.append(word)
            elif at >= word.at:  # else it was said of a later call
                self.ranges.met(
                    word.kind,
                    word.lane,
                    word.expected_s,
                    at - word.since,
                    within=word.low <= at <= word.high,
                )
        said.words = left
