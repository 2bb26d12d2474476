"""How a worker writes `<prefix>.progress`: beside everything else, and never waited for."""

from broker.log.acknowledged_producer import AcknowledgedProducer
from broker.records.progress import ProgressRecord, encode_progress


class ProgressWriter:
    """Writes what a worker says of its prompts. Used on the event loop."""

    def __init__(self, producer: AcknowledgedProducer, topic: str) -> None:
        self._producer = producer
        self._topic = topic

    def publish(self, record: ProgressRecord) -> None:
        """Write one; while Kafka is away it is lost, as it would be old when it is back."""
        self._producer.send_or_lose(self._topic, encode_progress(record), key=record.key)
