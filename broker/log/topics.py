"""Topics on a cluster: what would change, and changing it."""

import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from broker.log.kafka_errors import kafka_error
from broker.log.topic_changes import ActualTopic, TopicChange, changes_between
from broker.log.topic_names import TopicNames
from broker.log.topic_plan import PlannedTopic, plan_topics
from broker.records.errors import NotReadyError, UsageError
from broker.settings import Settings

__all__ = ["TopicChange", "TopicNames", "apply_topics", "plan_changes"]

REQUEST_S = 15.0
_APPLIED = ("create", "grow", "configure")
_POLL_S = 0.05
_ROUNDS = 3


def plan_changes(settings: Settings, admin: Mapping[str, Any]) -> tuple[TopicChange, ...]:
    """What differs from the plan of these settings, nothing changed; `admin` is `admin_config()`.

    Raises NotReadyError when the cluster cannot be asked.
    """
    return _changes(settings, AdminClient(dict(admin)), _where(admin))


def apply_topics(settings: Settings, admin: Mapping[str, Any]) -> tuple[TopicChange, ...]:
    """Make and grow topics to the plan; returns what was changed, empty the second time.

    Safe beside another process that applies the same plan. Returns when every planned partition
    has a leader, so that it can be used at once. Raises UsageError, nothing changed, when a topic
    would break lanes; NotReadyError when the cluster cannot be asked or does not come round.
    """
    client, where = AdminClient(dict(admin)), _where(admin)
    applied: dict[tuple[str, str], TopicChange] = {}
    for _ in range(_ROUNDS):
        todo = _applicable(_changes(settings, client, where))
        if not todo:
            break
        for action in _APPLIED:
            _apply(client, where, [change for change in todo if change.action == action])
        _wait_led(client, where, [change.planned for change in todo])
        # Once more: a topic that another process has just made may have another shape than ours.
        applied.update({(change.topic, change.action): change for change in todo})
    return tuple(applied.values())


def _applicable(changes: Sequence[TopicChange]) -> tuple[TopicChange, ...]:
    refused = [change for change in changes if change.action == "refuse"]
    if refused:
        raise UsageError(
            "; ".join(f"{change.topic} {change.reason}" for change in refused) + ".",
            mend="Nothing was changed for it.",
            code="lanes_would_break",
        )
    return tuple(change for change in changes if change.action in _APPLIED)


def _changes(settings: Settings, client: AdminClient, where: str) -> tuple[TopicChange, ...]:
    names = TopicNames(settings.kafka.prefix)
    cluster = _metadata(client, where)
    plan = plan_topics(
        names,
        settings.providers,
        settings.topics,
        brokers=len(cluster.brokers),
        replication=settings.kafka.replication,
    )
    there = [topic.name for topic in plan if topic.name in cluster.topics]
    return changes_between(plan, _actual(client, where, cluster, there))


def _actual(
    client: AdminClient, where: str, cluster: Any, names: Sequence[str]
) -> dict[str, ActualTopic]:
    if not names:
        return {}
    asked = [ConfigResource(ResourceType.TOPIC, name) for name in names]
    answers = client.describe_configs(asked, request_timeout=REQUEST_S)
    found = {}
    for resource, future in answers.items():
        config = _result(future, doing="reading the settings of topics", where=where)
        partitions = cluster.topics[resource.name].partitions
        found[resource.name] = ActualTopic(
            resource.name,
            len(partitions),
            min(len(partition.replicas) for partition in partitions.values()),
            {name: entry.value for name, entry in config.items() if entry.value is not None},
        )
    return found


def _apply(client: AdminClient, where: str, changes: Sequence[TopicChange]) -> None:
    if not changes:
        return
    asked = [change.planned for change in changes]
    if changes[0].action == "create":
        answers = client.create_topics([_new_topic(topic) for topic in asked], **_LIMITS)
        known = KafkaError.TOPIC_ALREADY_EXISTS
    elif changes[0].action == "grow":
        answers = client.create_partitions(
            [NewPartitions(topic.name, topic.partitions) for topic in asked], **_LIMITS
        )
        known = KafkaError.INVALID_PARTITIONS
    else:
        answers = client.incremental_alter_configs(
            [_new_config(change) for change in changes], request_timeout=REQUEST_S
        )
        known = None
    for future in answers.values():
        # Another process with the same plan may have been quicker: that is as good.
        _result(future, doing=f"changing topics ({changes[0].action})", where=where, fine=known)


_LIMITS = {"operation_timeout": REQUEST_S, "request_timeout": REQUEST_S}


def _new_topic(topic: PlannedTopic) -> NewTopic:
    return NewTopic(
        topic.name,
        num_partitions=topic.partitions,
        replication_factor=topic.replication,
        config=dict(topic.config),
    )


def _new_config(change: TopicChange) -> ConfigResource:
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in change.config.items()
    ]
    return ConfigResource(ResourceType.TOPIC, change.topic, incremental_configs=entries)


def _wait_led(client: AdminClient, where: str, topics: Iterable[PlannedTopic]) -> None:
    waiting = {topic.name: topic.partitions for topic in topics}
    ends = time.monotonic() + REQUEST_S
    while True:
        known = _metadata(client, where).topics
        for name in [name for name, count in waiting.items() if _led(known.get(name), count)]:
            del waiting[name]
        if not waiting:
            return
        if time.monotonic() > ends:
            raise NotReadyError(
                f"The partitions of {', '.join(sorted(waiting))} have no leader yet.",
                mend="Check that all brokers are up, then run `weighbridge topics apply` again.",
                code="no_leader",
            )
        time.sleep(_POLL_S)


def _led(topic: Any, count: int) -> bool:
    if topic is None or topic.error is not None or len(topic.partitions) < count:
        return False
    return all(partition.leader >= 0 for partition in topic.partitions.values())


def _metadata(client: AdminClient, where: str) -> Any:
    try:
        return client.list_topics(timeout=REQUEST_S)
    except KafkaException as error:
        raise kafka_error(error, doing="asking for the topics", where=where) from error


def _result(future: "Future[Any]", *, doing: str, where: str, fine: int | None = None) -> Any:
    try:
        return future.result(timeout=2 * REQUEST_S)
    except KafkaException as error:
        if error.args[0].code() == fine:
            return None
        raise kafka_error(error, doing=doing, where=where) from error
    except FutureTimeoutError:
        raise NotReadyError(
            f"Kafka at {where} did not answer while {doing}.",
            mend="Check that the broker runs.",
            code="kafka_unreachable",
        ) from None


def _where(admin: Mapping[str, Any]) -> str:
    return str(admin["bootstrap.servers"])
