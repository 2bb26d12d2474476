"""What a cloud has served: totals, and calls by prompt id for a comparison with the journal."""

import time
from collections import Counter
from typing import Any

from workers.simulator.history import History


class Served:
    """Counts of one cloud. `remember_ids` bounds the ids; the oldest are forgotten first.

    Of one event loop. A call is begun when its request has been read, and answered when its whole
    answer (status 200, not spoilt by a fault) has been handed to the connection.
    """

    def __init__(self, remember_ids: int) -> None:
        self._remember = remember_ids
        self.open = 0
        self.reset()

    def reset(self) -> None:
        """Begin anew; calls under way stay open."""
        self.peak = self.open
        self.requests = 0
        self.answered = 0
        self.accepted = 0
        self.refused = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.forgotten = 0
        self.history = History()
        self._outcomes: Counter[str] = Counter()
        self._statuses: Counter[int] = Counter()
        # Two dicts of small numbers, which Python shares, take less than one of objects.
        self._begun_by_id: dict[str, int] = {}
        self._answered_by_id: dict[str, int] = {}

    def begin(self, prompt_id: str | None) -> int:
        """A call came in; which call of this prompt it is, from 1 (of all, without an id)."""
        self.requests += 1
        self.open += 1
        self.peak = max(self.peak, self.open)
        if prompt_id is None:
            return self.requests
        begun = self._begun_by_id
        number = begun[prompt_id] = begun.get(prompt_id, 0) + 1
        if len(begun) > self._remember:
            oldest = next(iter(begun))
            del begun[oldest]
            self._answered_by_id.pop(oldest, None)
            self.forgotten += 1
        return number

    def accept(self, tokens: int) -> None:
        """A call was let in, with so many tokens by the estimate that limits go by."""
        self.accepted += 1
        self.history.accepted(time.time(), tokens)

    def refuse(self) -> None:
        """A call was turned away because there are too many."""
        self.refused += 1
        self.history.refused(time.time())

    def replied(self, status: int) -> None:
        """The head of a reply goes out."""
        self._statuses[status] += 1

    def answer(self, prompt_id: str | None, input_tokens: int, output_tokens: int) -> None:
        """A whole answer went out."""
        self.answered += 1
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.history.used(time.time(), input_tokens + output_tokens)
        if prompt_id in self._begun_by_id:
            self._answered_by_id[prompt_id] = self._answered_by_id.get(prompt_id, 0) + 1

    def end(self, outcome: str) -> None:
        """A call ended: `ok`, a fault, an error's code, or `abandoned` by the client."""
        self.open -= 1
        self._outcomes[outcome] += 1

    def totals(self) -> dict[str, Any]:
        """All but the ids."""
        return {
            "requests": self.requests,
            "answered": self.answered,
            "accepted": self.accepted,
            "refused": self.refused,
            "open": self.open,
            "peak": self.peak,
            "statuses": {str(status): count for status, count in sorted(self._statuses.items())},
            "outcomes": dict(sorted(self._outcomes.items())),
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "ids": len(self._begun_by_id),
            "forgotten_ids": self.forgotten,
        }

    def of_id(self, prompt_id: str) -> dict[str, int]:
        """Calls begun and answered for one prompt; zeros for one that is not known."""
        return {
            "begun": self._begun_by_id.get(prompt_id, 0),
            "answered": self._answered_by_id.get(prompt_id, 0),
        }

    def by_id(self) -> dict[str, dict[str, int]]:
        """Calls of every prompt that is remembered."""
        return {prompt_id: self.of_id(prompt_id) for prompt_id in self._begun_by_id}
