"""What has to be true of a history's topics, whatever happened: read from the records alone."""

import re
from collections import Counter
from collections.abc import Iterable
from itertools import chain

from broker.core.lanes import lane_for
from broker.core.tenant_limits import MINUTE_S
from broker.records.completion import Completion, decode_completion
from broker.records.tenants import Entry, decode_line
from broker.records.work import Work, decode_work
from tests.core.kafka_model import Broker, Place
from tests.core.site_model import (
    COMPLETIONS,
    DAY_REQUESTS,
    FIRST,
    LEDGER,
    LIMITS,
    MINUTE_REQUESTS,
    MONTH_TOKENS,
    MOST_MOVES,
    PLAN,
    PROVIDERS,
    TOPICS,
    WAIT_S,
    WORK,
    Site,
)

STATED = 0.02
"""By how much of a limit all classifiers together may be over it: docs/tenants.md."""
_LANES_SAID = re.compile(r"light is up to ([\d,]+), heavy from ([\d,]+)")


class Found:
    """All that is committed: `worked` has each prompt's work records, the first one first."""

    def __init__(self, broker: Broker) -> None:
        self.ends = [
            decode_completion(record.value)
            for place in COMPLETIONS
            for _, record in broker.visible(place)
        ]
        self.worked: dict[str, list[tuple[Place, Work]]] = {}
        for place in chain.from_iterable(WORK.values()):
            for _, record in broker.visible(place):
                work = decode_work(record.value)
                self.worked.setdefault(work.id, []).append((place, work))
        for records in self.worked.values():
            records.sort(key=lambda one: one[1].moves)
        lines = [decode_line(record.value) for _, record in broker.visible(LEDGER)]
        self.entries = [line for line in lines if isinstance(line, Entry)]
        self.charges = [one for one in self.entries if one.kind == "charge"]

    def judge(self, site: Site) -> None:
        """Raises AssertionError for the first promise that is broken."""
        self.ends_have_their_reasons(site)
        self.moves_end()
        self.lanes_are_total_and_stay()
        self.ledger_is_exact()
        self.budgets_hold()

    def ends_have_their_reasons(self, site: Site) -> None:
        for end in self.ends:
            code = end.error.code if end.error is not None else ""
            if end.status == "cancelled":
                assert end.id in site.asked_to_cancel, "cancelled, and nobody asked"
            if end.status == "expired":
                assert end.id in site.may_expire, "expired without a deadline"
            if code == "budget_exhausted":
                assert end.tenant in ("capped", "frugal"), "no budget, and exhausted"
            if code in ("budget_exhausted", "rate_limited"):
                assert end.tenant in LIMITS, "refused without a limit"
                assert end.id not in self.worked, "refused, and worked on"
            if end.status in ("succeeded", "refused"):
                assert end.id in self.worked, "answered without work"

    def moves_end(self) -> None:
        for identity, records in self.worked.items():
            route = [step.provider for step in records[-1][1].route]
            assert len(route) == len(set(route)), f"{identity} came back: {route}"
            assert len(route) <= MOST_MOVES + 1, f"{identity} moved on: {route}"
            assert [work.moves for _, work in records] == list(range(len(route))), "moves are lost"
            for (topic, _), work in records:
                assert topic == TOPICS.work(work.route[-1].provider), "in another's topic"
        for end in self.ends:
            if end.provider:
                assert end.route[-1].provider == end.provider in PROVIDERS

    def lanes_are_total_and_stay(self) -> None:
        """The lane is that of the weight by the thresholds it says, and stays through moves."""
        lanes = {}
        for identity, records in self.worked.items():
            for (_, partition), work in records:
                assert PLAN.lane_of(partition) == work.lane, "in another lane's partition"
            (lanes[identity],) = {work.lane for _, work in records}
            work = records[0][1]
            said = _LANES_SAID.search(work.weighed)
            light, heavy = (
                (FIRST.light_max, FIRST.heavy_min)
                if said is None
                else (int(number.replace(",", "")) for number in said.groups())
            )
            plan = type(PLAN)(light, heavy, PLAN.partitions)
            assert work.lane == lane_for(work.weight, work.priority, plan), "in a wrong lane"
        for end in self.ends:
            assert end.lane == lanes.get(end.id, end.lane), "its lane changed"

    def ledger_is_exact(self) -> None:
        """Who was let in is charged once, and corrected to what was used."""
        first = {identity: records[0][1] for identity, records in self.worked.items()}
        charged = {one.prompt: one for one in self.charges}
        assert len(charged) == len(self.charges), "charged twice"
        let_in = {identity for identity, work in first.items() if work.charged is not None}
        assert set(charged) == let_in, "charged and not let in, or let in and not charged"
        assert all((work.charged is None) == (work.tenant == "open") for work in first.values())
        sums: Counter[str] = Counter()
        for one in self.entries:
            sums[one.prompt] += round(one.tokens)
        assert sum(one.kind == "correction" for one in self.entries) <= len(charged)
        for end in self.ends:
            if end.id in charged:
                assert sums[end.id] == used_by(end), "the ledger says another use"

    def budgets_hold(self) -> None:
        requests = sum(one.tenant == "capped" for one in self.charges)
        assert requests <= DAY_REQUESTS * (1 + STATED), f"{requests} of a budget were let in"
        tokens = 0.0
        for one in self.entries:
            if one.tenant == "frugal":
                tokens += one.tokens
                assert tokens <= MONTH_TOKENS * (1 + STATED), f"{tokens} of a budget were used"
        starts = sorted(one.at for one in self.charges if one.tenant == "paced")
        most = most_within(starts, MINUTE_S)
        assert most <= MINUTE_REQUESTS * (1 + STATED), f"{most} began in a minute"
        for records in self.worked.values():
            work = records[0][1]
            if work.not_before is not None:
                assert work.not_before - work.route[0].at <= WAIT_S + 0.001, "waits too long"


def used_by(end: Completion) -> int:
    """Tokens that count for a prompt that was let in."""
    return end.input_tokens + end.output_tokens if end.calls else 0


def most_within(starts: Iterable[float], seconds: float) -> int:
    """The most of these times that lie within so many seconds, wherever one begins to count."""
    times = list(starts)
    return max((sum(at - seconds < one <= at for one in times) for at in times), default=0)
