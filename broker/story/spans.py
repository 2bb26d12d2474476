"""Stretches of partitions, and how far a read of them is. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import KafkaError


@dataclass(frozen=True, slots=True)
class Span:
    """The offsets from `start` up to and without `end` of one partition."""

    topic: str
    partition: int
    start: int
    end: int


class Reading:
    """How far a read of one topic is."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self.left = {span.partition: span for span in spans if span.start < span.end}
        self.total = sum(span.end - span.start for span in self.left.values())
        self._at = {number: span.start for number, span in self.left.items()}
        self._ended = 0

    @property
    def passed(self) -> int:
        """Offsets that were read or skipped."""
        going = sum(self._at[number] - span.start for number, span in self.left.items())
        return self._ended + going

    def take(
        self, messages: Sequence[Any], check: Callable[[KafkaError], None]
    ) -> tuple[list[Any], list[int]]:
        """The records among these that were asked for, and the partitions that end with them."""
        batch, ended = [], []
        for message in messages:
            number, error = message.partition(), message.error()
            span = self.left.get(number)
            if error is not None:
                check(error)
                # What comes after the last record, up to `span.end`, are markers. Before it, the
                # partition ends at an open transaction, and goes on when that has ended.
                at_end = (
                    error.code() == KafkaError._PARTITION_EOF  # noqa: SLF001 - as above
                    and span is not None
                    and message.offset() >= span.end
                )
            else:
                offset = message.offset()
                at_end = span is not None and offset >= span.end - 1
                if span is not None and offset < span.end:
                    batch.append(message)
                    self._at[number] = offset + 1
            if at_end and span is not None:
                del self.left[number]
                self._ended += span.end - span.start
                ended.append(number)
        return batch, ended
