"""Writes cancels to `<prefix>.control`, acknowledged by all replicas."""

import time
from collections.abc import Iterable
from typing import Final

from confluent_kafka import KafkaError, KafkaException, Producer

from broker.log.clients import producer_config
from broker.log.kafka_errors import kafka_error
from broker.log.topic_names import TopicNames
from broker.records.control import Cancel, encode_cancel
from broker.records.errors import NotReadyError
from broker.settings import Settings

WRITTEN_S: Final = 20.0
_POLL_S: Final = 0.1


def write_cancels(settings: Settings, cancels: Iterable[Cancel]) -> None:
    """Write these, and return when the brokers have them.

    Raises NotReadyError when they do not within `WRITTEN_S`, or the topic is not there: some may
    have been written then, which does no harm when all are written again.
    """
    topic = TopicNames(settings.kafka.prefix).control
    config = producer_config(
        settings, **{"message.timeout.ms": int(WRITTEN_S * 1000), "log_level": 0}
    )
    where = str(config["bootstrap.servers"])
    failed: list[KafkaError] = []

    def delivered(error: KafkaError | None, _message: object) -> None:
        if error is not None:
            failed.append(error)

    producer = Producer(config)
    ends = time.monotonic() + WRITTEN_S
    for cancel in cancels:
        while True:
            try:
                producer.produce(topic, encode_cancel(cancel), cancel.key, on_delivery=delivered)
                break
            except BufferError:
                if time.monotonic() > ends:
                    raise _late(where) from None
                producer.poll(_POLL_S)
            except KafkaException as error:
                raise kafka_error(error, doing=f"writing {topic}", where=where) from error
    left = producer.flush(max(_POLL_S, ends - time.monotonic()))
    if failed:
        raise kafka_error(failed[0], doing=f"writing {topic}", where=where)
    if left:
        raise _late(where)


def _late(where: str) -> NotReadyError:
    return NotReadyError(
        f"Kafka at {where} did not acknowledge the cancel within {WRITTEN_S:.0f} s.",
        mend="Check that the broker runs, and cancel again: twice does no harm.",
        code="kafka_unreachable",
    )
