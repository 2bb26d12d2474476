"""Yesterday's log as a replay: what was asked, how long the answers were, how the providers were.

It reads prompts, work, completions and calls, read-committed, in bounded batches; of the prompts no
text is kept.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import ceil, nan
from typing import Any, Final, TypeVar

from broker.core.lanes import LANES
from broker.log.topic_names import TopicNames
from broker.records.calls import CallEvent, decode_call
from broker.records.completion import STATUSES
from broker.records.errors import BadRecordError, UsageError
from broker.records.headers import ORIGIN
from broker.records.parsing import parse_prompt
from broker.records.prompt import Prompt
from broker.settings import Settings
from broker.simulate.asked import Asked, asked_of, numbered
from broker.simulate.fitted import ProviderFit, fit_providers
from broker.simulate.log_records import UNREADABLE, Answered, answered, weighed
from broker.simulate.outcome import Outcome
from broker.story.log_reader import LogReader, Progress, input_record

_LEAST_QUEUED: Final = 0.1
"""This share of the calls started as quickly as the broker can: that is what it adds."""
_Record = TypeVar("_Record")


@dataclass(frozen=True, slots=True)
class Logged:
    """What the log has. `left_out` says why prompts are not replayed, with their numbers.

    `route_s` is how long the broker itself needs from a prompt to its call, where calls tell it.
    """

    prompts: tuple[Asked, ...] = field(repr=False)
    fits: dict[str, ProviderFit]
    as_it_was: Outcome = field(repr=False)
    route_s: float | None
    left_out: Counter[str]


def read_log(
    settings: Settings,
    *,
    since: float | None = None,
    until: float | None = None,
    progress: Progress | None = None,
) -> Logged:
    """Read the prompts that were accepted from `since` and before `until` (unix seconds).

    Raises NotReadyError when the cluster or its topics are not there, and UsageError when there is
    no prompt in that time.
    """
    with LogReader(settings) as reader:
        return _Reading(settings, reader, since, until, progress).result()


class _Reading:
    def __init__(
        self,
        settings: Settings,
        reader: LogReader,
        since: float | None,
        until: float | None,
        progress: Progress | None,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._since = since
        self._until = until
        self._progress = progress
        self._left_out: Counter[str] = Counter()
        self._queued: list[int] = []

    def result(self) -> Logged:
        """Everything, from the first topic to the last."""
        names = TopicNames(self._settings.kafka.prefix)
        self._reader.require(names.prompts)
        asked = self._prompts(names.prompts)
        tokens: dict[str, tuple[int, int]] = {}
        for topic in self._reader.work_topics(names, self._settings.providers).values():
            for work in self._records(topic, weighed):
                if work.id in asked:
                    tokens.setdefault(work.id, (work.input_tokens, work.expected_output_tokens))
        ends: dict[str, Answered] = {}
        for end in self._records(names.completions, answered):
            if end.id in asked:
                ends.setdefault(end.id, end)
        prompts = numbered(self._replayed(asked, tokens, ends))
        if not prompts:
            raise UsageError(
                "There is no prompt in that time that can be replayed.",
                mend="Give an earlier --since, or look with `weighbridge audit`.",
            )
        fits = fit_providers(self._calls(names.calls))
        return Logged(
            prompts, fits, _as_it_was(prompts, ends), self._least_queued(), self._left_out
        )

    def _prompts(self, topic: str) -> dict[str, Prompt]:
        """By id, the first of each; in order of acceptance."""
        found: dict[str, Prompt] = {}
        catalog = self._settings.catalog()
        for message in self._messages(topic, self._until):
            record = input_record(message)
            prompt = parse_prompt(record, catalog)
            if record.header(ORIGIN) is not None:
                continue
            if not isinstance(prompt, Prompt):
                self._left_out["not valid"] += 1
            elif prompt.id in found:
                self._left_out["asked again under the same id"] += 1
            else:
                bare = asked_of(prompt, 0, None).prompt
                found[prompt.id] = replace(bare, provider=prompt.provider)
        return dict(sorted(found.items(), key=lambda one: (one[1].accepted_at, one[0])))

    def _replayed(
        self,
        asked: dict[str, Prompt],
        tokens: dict[str, tuple[int, int]],
        ends: dict[str, Answered],
    ) -> Iterator[Asked]:
        for identity, prompt in asked.items():
            known, end = tokens.get(identity), ends.get(identity)
            if known is None:
                self._left_out["never weighed"] += 1
                continue
            told = end is not None and end.status == "succeeded"
            output = end.output_tokens if told and end is not None else known[1]
            yield asked_of(prompt, known[0], output)

    def _calls(self, topic: str) -> Iterator[CallEvent]:
        def decoded(value: bytes | None) -> CallEvent:
            try:
                return decode_call(value)
            except BadRecordError as error:
                raise ValueError from error

        for event in self._records(topic, decoded):
            if event.event == "started" and event.attempt == 1 and event.queued_ms is not None:
                self._queued.append(event.queued_ms)
            yield event

    def _least_queued(self) -> float | None:
        if not self._queued:
            return None
        ordered = sorted(self._queued)
        return ordered[max(0, ceil(_LEAST_QUEUED * len(ordered)) - 1)] / 1000

    def _records(self, topic: str, decode: Callable[[Any], _Record]) -> Iterator[_Record]:
        """Ends and calls of these prompts may be written long after them."""
        for message in self._messages(topic, None):
            try:
                yield decode(message.value())
            except UNREADABLE:
                self._left_out[f"records of {topic} not in our form"] += 1

    def _messages(self, topic: str, until: float | None) -> Iterator[Any]:
        spans = self._reader.spans(topic, since=self._since, until=until)
        for batch in self._reader.read(spans, self._progress):
            yield from batch


def _as_it_was(prompts: Sequence[Asked], ends: dict[str, Answered]) -> Outcome:
    """The log's own completions as a replay's outcome, to stand beside the others."""
    names = sorted({end.provider for end in ends.values() if end.provider})
    outcome = Outcome(tuple(prompts), tuple(names), prompts[0].prompt.accepted_at)
    for number, one in enumerate(prompts):
        end = ends.get(one.prompt.id)
        if end is None or end.status not in STATUSES:
            continue
        outcome.end(
            number,
            end.status,
            "" if end.error is None else end.error.code,
            end.completed_s,
            lane=end.lane if end.lane in LANES else "",
            provider=end.provider,
        )
        outcome.cost[number] = nan if end.cost_usd is None else end.cost_usd
        outcome.estimated |= end.cost_estimated
        outcome.calls[number] = end.calls
        outcome.moves[number] = max(0, len(end.route) - 1)
        steps = [step.provider for step in end.route]
        outcome.moved.update(pairwise(steps))
    return outcome
