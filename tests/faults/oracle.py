"""What must hold whatever was done to the system, checked against what Kafka itself has.

Kafka's own transactions test is the model: every accepted id has exactly one read-committed
completion (set equality, no duplicates), seen by a reader that was there all the time and again by
one that reads the whole topic afterwards; and the system answers again once the faults stop.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import orjson

from broker.log.topic_names import TopicNames
from broker.records.calls import decode_call
from broker.settings import Settings
from broker.story.audit_run import AuditResult, run_audit
from broker.story.log_reader import LogReader
from tests.faults.answers import Answers
from tests.faults.deployment import Deployment, wait_until
from tests.faults.traffic import Traffic

ANSWERED_S: Final = 60.0
_SHOWN: Final = 5
_CENT: Final = 0.01


@dataclass(frozen=True, slots=True)
class Trial:
    """One fault under load.

    `recovery_s` is the longest that any prompt waited for its answer: what the fault cost.
    """

    prompts: int
    recovery_s: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the topics say at the end, everything drained."""

    accepted: int
    lost: tuple[str, ...]
    duplicates: tuple[str, ...]
    repeated_calls: int
    calls: int
    audit: AuditResult
    told: str
    """Of some duplicates each completion, and the logs of all: who had which partitions when."""


def trial(
    traffic: Traffic,
    answers: Answers,
    fault: Callable[[], object],
    *,
    before_s: float = 1.0,
    after_s: float = 1.0,
    answered_s: float = ANSWERED_S,
) -> Trial:
    """Do harm under load, and wait until all that was accepted is answered: liveness."""
    known = len(traffic.accepted)
    traffic.start()
    try:
        wait_until(lambda: len(traffic.accepted) > known, 30, "nothing is accepted")
        first = set(traffic.accepted)
        wait_until(lambda: first <= answers.ids(), 30, "nothing is answered before the fault")
        _let_pass(before_s)
        fault()
        ended = time.monotonic()
        _let_pass(after_s)
    finally:
        traffic.stop()
    accepted = set(traffic.accepted)
    later = accepted - traffic.accepted_by(ended)
    assert later, "nothing was accepted after the fault"
    wait_until(
        lambda: accepted <= answers.ids(),
        answered_s,
        lambda: _missing(accepted - answers.ids()),
    )
    longest = max(answers.of(i)[0].at - traffic.accepted[i] for i in accepted - first)
    return Trial(len(accepted) - known, longest)


def _let_pass(seconds: float) -> None:
    """Let the load run for a while: its duration is part of the trial, nothing is waited for."""
    time.sleep(seconds)


def _missing(ids: set[str]) -> str:
    return f"{len(ids)} accepted prompts are not answered, such as {sorted(ids)[:_SHOWN]}"


def judge(deployment: Deployment, traffic: Traffic, answers: Answers) -> Verdict:
    """Drain everything (each member has to exit 0), then read all topics from their beginnings."""
    deployment.terminate_all()
    settings = deployment.settings
    names = TopicNames(settings.kafka.prefix)
    accepted = set(traffic.accepted)
    completions = _completions(settings, names)
    wait_until(
        lambda: answers.counts() == completions,
        30,
        "the reader that was there all the time has seen what a reader of the whole topic sees",
    )
    lost = sorted(accepted - set(completions))
    duplicates = sorted(identity for identity, count in completions.items() if count > 1)
    strangers = set(completions) - accepted - traffic.unknown
    assert not strangers, f"completions of prompts that nobody sent: {sorted(strangers)[:_SHOWN]}"
    journal = _check_journal(deployment, names)
    audit = run_audit(settings, grace_s=0.0)
    counts = audit.figures.counts
    assert counts["lost"] == len(lost), counts
    assert counts["duplicates"] == sum(completions[identity] - 1 for identity in duplicates), counts
    assert counts["repeated_calls"] == journal.repeated, (counts, journal)
    assert counts["calls_without_end"] == journal.without_end, (counts, journal)
    assert abs((counts["cost_usd"] or 0.0) - journal.cost_usd) < _CENT, (counts, journal)
    assert (counts["repeats_cost_usd"] or 0.0) <= journal.cost_usd + _CENT, (counts, journal)
    assert not audit.unknown, counts
    assert not audit.unreadable, counts
    calls, repeated = journal.starts, journal.repeated
    told = _told(deployment, answers, duplicates) if duplicates else ""
    return Verdict(len(accepted), tuple(lost), tuple(duplicates), repeated, calls, audit, told)


def expect_exactly_once(verdict: Verdict) -> None:
    """Nothing lost, nothing twice, nothing left over."""
    assert not verdict.lost, _missing(set(verdict.lost))
    count = len(verdict.duplicates)
    assert not verdict.duplicates, f"{count} answered more than once:\n{verdict.told}"
    assert verdict.audit.figures.counts["pending"] == 0, verdict.audit.figures.counts


def _told(deployment: Deployment, answers: Answers, duplicates: Sequence[str]) -> str:
    """What a person needs to find out how they came about: nothing else is left of a run."""
    step = max(1, len(duplicates) // _SHOWN)
    lines = [f"{i}: {seen}" for i in duplicates[::step] for seen in answers.of(i)]
    for member in deployment.members.values():
        log = member.log.read_text(errors="replace").splitlines()
        lines += [f"{member.name}: {line}" for line in log]
    return "\n".join(lines)


def _completions(settings: Settings, names: TopicNames) -> dict[str, int]:
    found: Counter[str] = Counter()
    with LogReader(settings) as reader:
        for batch in reader.read(reader.spans(names.completions, settled=True)):
            found.update(orjson.loads(message.value())["id"] for message in batch)
    return dict(found)


@dataclass(frozen=True, slots=True)
class Journal:
    """What it holds, counted apart from the audit."""

    starts: int
    repeated: int
    without_end: int
    """Of each prompt the calls that began, less those that ended: where the broker was away when a
    call was to begin, there may be an end without a beginning."""
    cost_usd: float


def _check_journal(deployment: Deployment, names: TopicNames) -> Journal:
    """Every call that a cloud saw was journaled before."""
    cost = 0.0
    open_calls: Counter[str] = Counter()
    lines: Counter[tuple[str, int]] = Counter()
    starts: Counter[tuple[str, str]] = Counter()
    with LogReader(deployment.settings) as reader:
        for batch in reader.read(reader.spans(names.calls)):
            for message in batch:
                event = decode_call(message.value())
                if event.event == "started":
                    lines[event.id, event.attempt] += 1
                    starts[event.provider, event.id] += 1
                    open_calls[event.id] += 1
                else:
                    open_calls[event.id] -= 1
                    cost += event.cost_usd or 0.0
    for provider, served in deployment.simulator.served(ids=True).items():
        assert not served["forgotten_ids"]
        for identity, calls in served["by_id"].items():
            journaled = starts[provider, identity]
            assert calls["begun"] <= journaled, (
                f"{provider} was called {calls['begun']} times for {identity}, "
                f"and the journal has {journaled} starts"
            )
    repeated = sum(count - 1 for count in lines.values())
    without_end = sum(max(0, count) for count in open_calls.values())
    return Journal(starts.total(), repeated, without_end, cost)
