"""What every topic should be. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from broker.core.lanes import FEWEST_PARTITIONS
from broker.log.topic_names import TopicNames
from broker.records.errors import UsageError

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

PROMPT_BYTES = 1_048_588
"""Kafka's own default limit of a batch, so that any client's defaults fit."""
WORK_BYTES = 8 * 1024 * 1024
"""A prompt at its limit becomes JSON, where a control character takes six bytes, and gets fields
and headers: it must still fit, or its partition would be stuck."""
COMPLETION_BYTES = 4 * 1024 * 1024
"""`worker.max_record_bytes` bounds the answer; the echoed headers of a prompt come on top."""
LARGEST_BYTES = max(PROMPT_BYTES, WORK_BYTES, COMPLETION_BYTES)

_MOST_REPLICAS = 3

Meaning = Literal["any", "lanes", "homes"]
"""What a partition's number stands for: nothing, a lane, or the home of the ids that hash to it."""


class PartitionCounts(Protocol):
    """How many partitions each topic gets; `broker.settings.sections.TopicSettings` is one."""

    @property
    def prompts(self) -> int: ...  # noqa: D102 - named by its topic
    @property
    def work(self) -> int: ...  # noqa: D102 - named by its topic
    @property
    def completions(self) -> int: ...  # noqa: D102 - named by its topic
    @property
    def calls(self) -> int: ...  # noqa: D102 - named by its topic
    @property
    def chunks(self) -> int: ...  # noqa: D102 - named by its topic
    @property
    def dead_letters(self) -> int: ...  # noqa: D102 - named by its topic


@dataclass(frozen=True, slots=True)
class PlannedTopic:
    """The shape one topic should have. `config` are Kafka's topic settings by name."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]
    meaning: Meaning = "any"


def plan_topics(
    names: TopicNames,
    providers: Iterable[str],
    counts: PartitionCounts,
    *,
    brokers: int,
    replication: int | None = None,
) -> tuple[PlannedTopic, ...]:
    """Every topic of the architecture for these providers on a cluster of so many brokers.

    Replicas are `replication`, or 3, or as many as there are brokers. Raises UsageError for a
    count that could not work.
    """
    if counts.work < FEWEST_PARTITIONS:
        raise UsageError(
            f"topics.work is {counts.work}, and {FEWEST_PARTITIONS} lanes need a partition each.",
            mend=f"Set topics.work to {FEWEST_PARTITIONS} or more.",
        )
    replicas = replication or min(_MOST_REPLICAS, max(1, brokers))
    if replicas > brokers:
        raise UsageError(
            f"kafka.replication is {replicas}, and the cluster has {brokers} brokers.",
            mend=f"Set kafka.replication to {brokers} or less.",
        )
    # Two of three replicas must have a record before it counts as accepted; fewer replicas
    # cannot spare one.
    safety = {"min.insync.replicas": "2" if replicas >= _MOST_REPLICAS else "1"}

    def planned(
        name: str, partitions: int, config: Mapping[str, str], meaning: Meaning = "any"
    ) -> PlannedTopic:
        return PlannedTopic(name, partitions, replicas, {**safety, **config}, meaning)

    return (
        planned(names.prompts, counts.prompts, _PROMPTS, "homes"),
        *(planned(names.work(name), counts.work, _WORK, "lanes") for name in providers),
        planned(names.completions, counts.completions, _COMPLETIONS),
        planned(names.chunks, counts.chunks, _CHUNKS),
        planned(names.calls, counts.calls, _kept(7 * DAY_MS, DAY_MS, PROMPT_BYTES)),
        planned(names.providers, 1, _PROVIDERS),
        planned(names.control, 1, _CONTROL),
        planned(names.progress, 1, _CHUNKS),
        planned(names.tenants, 1, _kept(3 * DAY_MS, HOUR_MS, PROMPT_BYTES)),
        planned(names.tenant_totals, 1, _PROVIDERS),
        planned(names.dead_letters, counts.dead_letters, _kept(30 * DAY_MS, DAY_MS, WORK_BYTES)),
    )


def _kept(retention_ms: int, segment_ms: int, most_bytes: int) -> dict[str, str]:
    return {
        "cleanup.policy": "delete",
        "retention.ms": str(retention_ms),
        # Only whole segments are removed, so the retention is kept to within one of these.
        "segment.ms": str(segment_ms),
        "max.message.bytes": str(most_bytes),
    }


_PROMPTS = {
    **_kept(7 * DAY_MS, DAY_MS, PROMPT_BYTES),
    # The broker's clock, not a producer's, says when a prompt was accepted: neither `accepted_at`
    # nor the window of dedupe can be forged.
    "message.timestamp.type": "LogAppendTime",
    # The limit above is of a batch as it is stored. Stored plain it bounds each prompt, whatever
    # a producer compressed it to, and any reader can read it.
    "compression.type": "uncompressed",
}
_CONTROL = {
    **_kept(DAY_MS, HOUR_MS, PROMPT_BYTES),
    # So that a cancel's time and that of the prompt's acceptance are of one clock.
    "message.timestamp.type": "LogAppendTime",
}
_WORK = _kept(7 * DAY_MS, DAY_MS, WORK_BYTES)
_COMPLETIONS = _kept(7 * DAY_MS, DAY_MS, COMPLETION_BYTES)
_CHUNKS = _kept(HOUR_MS, HOUR_MS // 6, PROMPT_BYTES)
_PROVIDERS = {
    "cleanup.policy": "compact",
    # States come every second or so, and every reader starts from the beginning.
    "segment.ms": str(HOUR_MS // 6),
    "min.cleanable.dirty.ratio": "0.1",
    "delete.retention.ms": str(HOUR_MS),
    "max.message.bytes": str(PROMPT_BYTES),
}
