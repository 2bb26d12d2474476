"""A real Apache Kafka that comes with the package. Start with `EmbeddedKafka`."""

from broker.log.embedded.embedded_kafka import EmbeddedKafka, Running, Status
from broker.log.embedded.jars import fetch_jars

__all__ = ["EmbeddedKafka", "Running", "Status", "fetch_jars"]
