"""What is said of a record that could not be processed, in the headers of its dead letter."""

from typing import Protocol

from broker.records.headers import DEAD_LETTER
from broker.records.incoming import Headers
from broker.records.times import to_rfc3339


class Placed(Protocol):
    """A record's place in Kafka."""

    @property
    def topic(self) -> str:
        """Its topic."""

    @property
    def partition(self) -> int:
        """Its partition."""

    @property
    def offset(self) -> int:
        """Its offset."""


def dead_letter_headers(
    place: Placed, *, stage: str, error: str, message: str, attempt: int, at: float
) -> Headers:
    """Where the record came from and why it ended here; the original headers follow these.

    `stage` names the room that gave it up, `error` is the stable code, `message` the sentence for
    a person, `attempt` the provider calls made, `at` unix seconds. All values are text.
    """
    said = {
        "topic": place.topic,
        "partition": str(place.partition),
        "offset": str(place.offset),
        "stage": stage,
        "error": error,
        "message": message,
        "attempt": str(attempt),
        "at": to_rfc3339(at),
    }
    return tuple((f"{DEAD_LETTER}{name}", text.encode()) for name, text in said.items())
