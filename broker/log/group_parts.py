"""Which partitions each member of a consumer group has now."""

from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

REQUEST_S: Final = 3.0


class GroupParts:
    """Asked at once, answered when it is needed: a group that never was takes its time."""

    def __init__(self, admin: Mapping[str, Any], group: str, topic: str) -> None:
        self._topic = topic
        self._client = AdminClient({**admin, "log_level": 0})
        asked = self._client.describe_consumer_groups([group], request_timeout=REQUEST_S)
        self._answer = asked[group]

    def told(self) -> list[frozenset[int]]:
        """Of the topic, the largest part first; none where nobody is there, or nobody tells."""
        try:
            members = self._answer.result(2 * REQUEST_S).members
        except (KafkaException, TimeoutError):
            return []
        parts = [
            frozenset(
                place.partition
                for place in (member.assignment.topic_partitions if member.assignment else ())
                if place.topic == self._topic
            )
            for member in members
        ]
        return sorted(filter(None, parts), key=len, reverse=True)
