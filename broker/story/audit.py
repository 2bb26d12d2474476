"""Prompts against completions. Pure: records go in, figures come out, memory follows the ids only.

Feed it in this order: all prompts, then completions, work and calls. The reader of the topics
(`audit_run`) sees to it that what it feeds is a consistent picture: how far the workers' groups are
is asked BEFORE the ends of completions and work are fixed, so that work that is done by then has
its completion, or its next work record, among what is read. Those ends are the true ones, not the
last stable offsets: another's open transaction may hold back a completion that is committed.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from math import inf
from typing import Any, Final

from broker.core.dedupe import home_partition
from broker.core.lanes import LANES
from broker.story.asked import Asked
from broker.story.audit_costs import Costs
from broker.story.latencies import Latencies
from broker.story.ledger import MOST, NO_LANE, Ledger
from broker.story.lines import CallLine, CompletionLine, WorkLine
from broker.story.reasons import Reasons
from broker.story.tally import Tally

SETTLE_S: Final = 5.0
"""A prompt with a deadline shorter than this is not called lost before it."""
_ROUNDING_S: Final = 0.002
"""Times in completions are whole milliseconds."""
_MOST_ATTEMPTS: Final = 63
_LANE: Final = {lane: number for number, lane in enumerate(LANES)}


@dataclass(frozen=True, slots=True)
class Figures:
    """What an audit found. `lost_rows` and `doubled_rows` are rows of the ledger."""

    counts: dict[str, Any]
    """The contract's JSON object."""
    lost_rows: set[int]
    doubled_rows: set[int]

    @property
    def sound(self) -> bool:
        """Whether nothing was lost and nothing answered more often than it was asked."""
        return not self.counts["lost"] and not self.counts["duplicates"]


class Audit:
    """The fold. `partitions` are those of the prompts' topic, `window_s` is dedupe's.

    With `since` and `until` (unix seconds) it counts the prompts accepted from then and before
    then; feed it also the prompts of one window before `since`, or a duplicate of one of those
    would pass for a new prompt.
    """

    def __init__(
        self, *, partitions: int, window_s: float, since: float = -inf, until: float = inf
    ) -> None:
        self.ledger = Ledger()
        self.unknown = 0
        """Completions of prompts that are not in the topic (any more)."""
        self.unreadable = 0
        """Records in our topics that are not in the contract's form."""
        self.dead_lettered = 0
        self._partitions = partitions
        self._window_s = window_s
        self._since = since
        self._until = until
        self._latest = [-inf] * partitions
        self._duplicate_inputs = 0
        self._duplicates = 0
        self._calls = self._repeated = self._moves = 0
        self._again: Counter[tuple[int, int]] = Counter()
        self._statuses: Counter[str] = Counter()
        self._reasons = Reasons()
        self._providers: defaultdict[str, Tally] = defaultdict(Tally)
        self._lanes: defaultdict[str, Tally] = defaultdict(Tally)
        self._costs = Costs(self.ledger)
        self._latencies = Latencies()

    def prompt(self, one: Asked, partition: int, at: float, *, unread: bool = False) -> None:
        """A record of the prompts' topic; `at` is its timestamp.

        `unread`: the classifier has not committed it, so it waits there and cannot be lost.
        """
        books = self.ledger
        row = books.row(one.id)
        counts = self._since <= one.accepted_at < self._until
        if unread:
            books.waits[row] = 1
        if (
            one.own_id
            and one.origin is None
            and home_partition(one.id, self._partitions) != partition
        ):
            # Only the origin of its copy that is forwarded home, which is the one that is answered.
            if counts:
                books.away[row] += 1
                books.away_at[row] = max(books.away_at[row], at)
                if not books.due[row]:
                    self._accept(row, one)
            return
        when = max(self._latest[partition], at)
        self._latest[partition] = when
        new = when - books.seen_at[row] > self._window_s
        books.seen_at[row] = when
        if not counts:
            return
        if one.origin is not None:
            books.away[row] -= 1
        if new:
            books.due[row] = min(MOST, books.due[row] + 1)
            self._accept(row, one)
        else:
            self._duplicate_inputs += 1

    def _accept(self, row: int, one: Asked) -> None:
        self.ledger.accepted_at[row] = one.accepted_at
        self.ledger.ends_at[row] = inf if one.deadline is None else one.deadline

    def completion(self, line: CompletionLine) -> None:
        """A record of the completions' topic."""
        row = self.ledger.find(line.id)
        if row < 0:
            self.unknown += 1
            return
        accepted = line.accepted_s
        if not self._since - _ROUNDING_S <= accepted < self._until + _ROUNDING_S:
            return
        books = self.ledger
        books.completed[row] = min(MOST, books.completed[row] + 1)
        if books.completed[row] > self._due(row):
            return
        if line.status == "refused":
            books.refused[row] = 1
        ms = max(0.0, (line.completed_s - accepted) * 1000)
        self._statuses[line.status] += 1
        if line.not_routed is not None:
            self._reasons.nobody(line.not_routed)
        self._latencies.add(ms)
        if line.provider:
            self._providers[line.provider].answered(ms)
        if line.lane:
            self._lanes[line.lane].answered(ms)

    def work(self, line: WorkLine, *, done: bool) -> None:
        """A record of a work topic; `done`: its provider's group has committed it."""
        row = self.ledger.find(line.id)
        if row < 0 or not self._since - _ROUNDING_S <= line.accepted_s < self._until + _ROUNDING_S:
            return
        books = self.ledger
        books.lane[row] = _LANE.get(line.lane, NO_LANE)  # type: ignore[call-overload]  # any text may be asked for
        if not done:
            books.waits[row] = 1
        self._reasons.chosen(line.route)
        if len(line.route) > 1:
            self._moves += 1
            self._providers[line.route[-1].provider].moves_in += 1
            self._providers[line.route[-2].provider].moves_out += 1
            self._lanes[line.lane].moves_in += 1
            self._lanes[line.lane].moves_out += 1

    def call(self, line: CallLine) -> None:
        """A record of the journal."""
        row = self.ledger.find(line.id)
        if row < 0 or not self._due(row):
            return
        books = self.ledger
        if line.event == "ended":
            books.open[row] -= 1
            self._ended(row, line)
            return
        books.open[row] += 1
        self._calls += 1
        self._providers[line.provider].calls += 1
        if books.lane[row] != NO_LANE:
            self._lanes[LANES[books.lane[row]]].calls += 1
        bit = 1 << min(max(line.attempt, 0), _MOST_ATTEMPTS)
        if not books.attempts[row] & bit:
            books.attempts[row] |= bit
            return
        # An id that is due more than once, asked again after the window, has each attempt as often.
        self._again[row, line.attempt] += 1
        if self._again[row, line.attempt] >= self._due(row):
            self._repeated += 1

    def _ended(self, row: int, line: CallLine) -> None:
        self._costs.ended(row, line, self._due(row))
        estimated = line.cost_estimated is True
        self._providers[line.provider].bill.add(line.cost_usd, estimated=estimated)
        lane = self.ledger.lane[row]
        if lane != NO_LANE:
            self._lanes[LANES[lane]].bill.add(line.cost_usd, estimated=estimated)

    def _due(self, row: int) -> int:
        """How many completions this id is to have, of what was counted."""
        books = self.ledger
        waiting = books.away[row] > 0 and books.away_at[row] - books.seen_at[row] > self._window_s
        return books.due[row] + (1 if waiting else 0)

    def figures(self, now: float, grace_s: float) -> Figures:
        """The result at `now` (unix seconds); a prompt younger than `grace_s` is not lost yet."""
        books = self.ledger
        accepted = completed = pending = duplicates = endless = 0
        lost: set[int] = set()
        doubled: set[int] = set()
        settle = min(SETTLE_S, grace_s)
        for row in range(len(books)):
            due, done = self._due(row), books.completed[row]
            if not due:
                continue
            accepted += 1
            # The last call of what is not completed may be under way.
            endless += max(0, books.open[row] - (done < due))
            if done > due:
                duplicates += done - due
                doubled.add(row)
            if done >= due:
                completed += 1
                continue
            since, ends = books.accepted_at[row], books.ends_at[row]
            overdue = since + grace_s if ends == inf else max(ends, since + settle)
            if books.waits[row] or now <= overdue:
                pending += 1
            else:
                lost.add(row)
        counts = {
            "accepted": accepted,
            "duplicate_inputs": self._duplicate_inputs,
            "completed": completed,
            "pending": pending,
            "lost": len(lost),
            "duplicates": duplicates,
            "dead_lettered": self.dead_lettered,
            "calls": self._calls,
            "repeated_calls": self._repeated,
            "calls_without_end": endless,
            "moves": self._moves,
            **self._reasons.as_json(),
            **self._costs.as_json(),
            "statuses": dict(self._statuses.most_common()),
            "providers": {name: one.as_json() for name, one in sorted(self._providers.items())},
            "lanes": {lane: self._lanes[lane].as_json() for lane in LANES if lane in self._lanes},
            "latency_ms": self._latencies.summary(),
        }
        return Figures(counts, lost, doubled)
