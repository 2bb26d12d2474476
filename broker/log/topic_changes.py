"""What would change to make topics as planned: they grow, they never shrink. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from broker.log.topic_plan import PlannedTopic

Action = Literal["create", "grow", "configure", "keep", "refuse"]
"""`keep` differs from the plan and is left as it is; `refuse` would break lanes."""

_AT_LEAST = frozenset(
    {"retention.ms", "max.message.bytes", "min.insync.replicas", "delete.retention.ms"}
)
"""An operator may have raised these for reasons of their own."""
_UNLIMITED = "-1"


@dataclass(frozen=True, slots=True)
class ActualTopic:
    """A topic as the cluster has it."""

    name: str
    partitions: int
    replication: int
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class TopicChange:
    """One difference between the plan and the cluster, with its reason for a person.

    `planned` is what to apply: its partitions for `create` and `grow`, `config` for `configure`.
    """

    topic: str
    action: Action
    reason: str
    planned: PlannedTopic
    config: Mapping[str, str] = field(default_factory=dict)


def changes_between(
    plan: Iterable[PlannedTopic], actual: Mapping[str, ActualTopic]
) -> tuple[TopicChange, ...]:
    """Every difference, in the order of the plan; empty when all is as planned.

    `actual` maps the names of topics that exist; others on the cluster may be left out.
    """
    found: list[TopicChange] = []
    for planned in plan:
        there = actual.get(planned.name)
        if there is None:
            found.append(
                TopicChange(
                    planned.name,
                    "create",
                    f"is not there; {planned.partitions} partitions, "
                    f"{planned.replication} replicas",
                    planned,
                )
            )
        else:
            found.extend(_differences(planned, there))
    return tuple(found)


def _differences(planned: PlannedTopic, there: ActualTopic) -> list[TopicChange]:
    found = []
    if there.partitions < planned.partitions:
        found.append(
            TopicChange(
                planned.name,
                "grow",
                f"has {there.partitions} partitions, the plan {planned.partitions}"
                f"{_growth_warning(planned)}",
                planned,
            )
        )
    elif there.partitions > planned.partitions:
        found.append(_too_many(planned, there))
    wrong = {
        name: value
        for name, value in planned.config.items()
        if not _as_planned(name, value, there.config.get(name))
    }
    if wrong:
        told = ", ".join(
            f"{name} is {there.config.get(name, 'unset')}, the plan {value}"
            for name, value in wrong.items()
        )
        found.append(TopicChange(planned.name, "configure", told, planned, wrong))
    if there.replication < planned.replication:
        found.append(
            TopicChange(
                planned.name,
                "keep",
                f"has {there.replication} replicas, the plan {planned.replication}: only a "
                "reassignment by the cluster's own tools can add them",
                planned,
            )
        )
    return found


def _growth_warning(planned: PlannedTopic) -> str:
    if planned.meaning == "lanes":
        return "; lanes get other partitions, what waits keeps its place: best while little waits"
    if planned.meaning == "homes":
        return "; ids get other homes, so one sent before and again after may be taken for new"
    return ""


def _too_many(planned: PlannedTopic, there: ActualTopic) -> TopicChange:
    if planned.meaning == "lanes":
        return TopicChange(
            planned.name,
            "refuse",
            f"has {there.partitions} partitions, the plan {planned.partitions}: Kafka cannot "
            f"remove any, and those past {planned.partitions - 1} would belong to no lane. Set "
            f"topics.work = {there.partitions}, or another kafka.prefix",
            planned,
        )
    return TopicChange(
        planned.name,
        "keep",
        f"has {there.partitions} partitions, more than the plan's {planned.partitions}",
        planned,
    )


def _as_planned(name: str, planned: str, there: str | None) -> bool:
    if there == planned:
        return True
    if name not in _AT_LEAST or there is None:
        return False
    if _UNLIMITED in (there, planned):
        return there == _UNLIMITED
    return int(there) >= int(planned)
