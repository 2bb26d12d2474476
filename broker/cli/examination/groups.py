"""The consumer groups: who reads the prompts and the work, and how much waits for them."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from broker.cli.examination.finding import Finding, ok, problem, warning
from broker.log.group_names import classifier_group, worker_group
from broker.log.kafka_errors import kafka_error
from broker.log.topic_names import TopicNames
from broker.settings import Settings

REQUEST_S = 5.0
STARTING_S = 5.0
_AGAIN_S = 0.2
_MEND = "Run `weighbridge up`, or `weighbridge {}` on its own."


def examine_groups(
    client: AdminClient, settings: Settings, topics: Mapping[str, Any]
) -> Iterator[Finding]:
    """The classifier's group and each pool's; `topics` is the cluster's metadata by name.

    Nobody there is a warning while nothing waits, and a problem once something does: also at a
    provider that was taken out of the settings, whose work nobody else may take.
    """
    names, prefix = TopicNames(settings.kafka.prefix), settings.kafka.prefix
    there: dict[str, tuple[str, str]] = {}
    if names.prompts in topics:
        there[classifier_group(prefix)] = ("classifier", names.prompts)
    for topic in topics:
        if topic.startswith(names.work("")):
            provider = topic.removeprefix(names.work(""))
            there[worker_group(prefix, provider)] = (f"worker {provider}", topic)
    if not there:
        return
    try:
        members = _members_soon(client, list(there))
        waiting = {
            group: _waiting(client, group, topic, len(topics[topic].partitions))
            for group, (_, topic) in there.items()
        }
    except KafkaException as error:
        told = kafka_error(error, doing="asking for the groups", where="the broker")
        yield warning("groups", told.message, "Allow Describe on the groups and topics.")
        return
    known = {worker_group(prefix, provider) for provider in settings.providers}
    for group, (what, topic) in there.items():
        if group in known or topic == names.prompts:
            yield _found(what, members[group], waiting[group])
        elif waiting[group]:
            mend = f"Put it back, and run `weighbridge {what}` until nothing waits there."
            yield problem(what, f"Not in the settings: {_waits(waiting[group])}.", mend)


def _found(what: str, members: int, waiting: int) -> Finding:
    records = _waits(waiting)
    if members:
        return ok(what, f"{members} {'member' if members == 1 else 'members'}, {records}")
    if waiting:
        return problem(what, f"Nobody reads: {records}.", _MEND.format(what))
    return warning(what, "Nobody reads; nothing waits.", _MEND.format(what))


def _waits(count: int) -> str:
    return "1 record waits" if count == 1 else f"{count:,} records wait"


def _members_soon(client: AdminClient, groups: list[str]) -> dict[str, int]:
    """As `_members`; a broker that has just started does not know its groups for some seconds."""
    ends = time.monotonic() + STARTING_S
    while True:
        try:
            return _members(client, groups)
        except KafkaException:
            if time.monotonic() > ends:
                raise
        time.sleep(_AGAIN_S)


def _members(client: AdminClient, groups: list[str]) -> dict[str, int]:
    asked = client.describe_consumer_groups(groups, request_timeout=REQUEST_S)
    return {group: len(answer.result(REQUEST_S).members) for group, answer in asked.items()}


def _waiting(client: AdminClient, group: str, topic: str, count: int) -> int:
    """Records past the committed offsets; what is done out of order is counted as waiting."""
    places = [TopicPartition(topic, number) for number in range(count)]
    request = ConsumerGroupTopicPartitions(group, places)
    (answer,) = client.list_consumer_group_offsets([request], request_timeout=REQUEST_S).values()
    committed = {
        place.partition: place.offset for place in answer.result(REQUEST_S).topic_partitions
    }
    begin = _bounds(client, places, OffsetSpec.earliest())
    end = _bounds(client, places, OffsetSpec.latest())
    return sum(
        max(0, end[number] - max(begin[number], committed.get(number, 0)))
        for number in range(count)
    )


def _bounds(client: AdminClient, places: list[TopicPartition], spec: OffsetSpec) -> dict[int, int]:
    asked = client.list_offsets(dict.fromkeys(places, spec), request_timeout=REQUEST_S)
    return {place.partition: answer.result(REQUEST_S).offset for place, answer in asked.items()}
