"""What our topics are like on the cluster, asked once at the start and at every assignment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ConfigResource, ResourceType

from broker.log.kafka_errors import kafka_error
from broker.records.errors import NotReadyError

REQUEST_S: Final = 15.0
_LIMIT: Final = "max.message.bytes"


@dataclass(frozen=True, slots=True)
class Shapes:
    """What the topics really are like, by name: partitions, and `max.message.bytes` where known.

    `cluster` is the id that the cluster gave itself.
    """

    partitions: Mapping[str, int]
    most_bytes: Mapping[str, int]
    cluster: str = ""


def read_shapes(admin: Mapping[str, Any], topics: Iterable[str]) -> Shapes:
    """Partitions and limits of these topics; raises NotReadyError when one is missing."""
    where = str(admin["bootstrap.servers"])
    client = AdminClient(dict(admin))
    names = list(topics)
    try:
        found = client.list_topics(timeout=REQUEST_S)
        there = found.topics
        missing = [name for name in names if name not in there or not there[name].partitions]
        if missing:
            raise NotReadyError(
                f"The topic {missing[0]} does not exist at {where}.",
                mend="Run `weighbridge topics apply`.",
                code="no_topic",
            )
        answers = client.describe_configs(
            [ConfigResource(ResourceType.TOPIC, name) for name in names], request_timeout=REQUEST_S
        )
        configs = {resource.name: future.result(REQUEST_S) for resource, future in answers.items()}
    except KafkaException as error:
        raise kafka_error(error, doing="asking for the topics", where=where) from error
    except TimeoutError as error:
        raise NotReadyError(
            f"Kafka at {where} did not answer while asking for the topics.",
            mend="Check that the broker runs.",
            code="kafka_unreachable",
        ) from error
    return Shapes(
        partitions={name: len(there[name].partitions) for name in names},
        most_bytes={
            name: int(config[_LIMIT].value)
            for name, config in configs.items()
            if _LIMIT in config and config[_LIMIT].value
        },
        cluster=found.cluster_id or "",
    )
