"""What happened to one prompt, each thing with the record that says so."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from broker.records.times import to_rfc3339

EventName = Literal[
    "accepted",
    "forwarded",
    "duplicate",
    "weighed",
    "let_in",
    "routed",
    "moved",
    "call_started",
    "call_ended",
    "cancel_asked",
    "not_routed",
    "completed",
    "dead_letter",
]
_ORDER: Final[tuple[EventName, ...]] = (
    "accepted",
    "forwarded",
    "duplicate",
    "weighed",
    "let_in",
    "routed",
    "call_started",
    "call_ended",
    "moved",
    "cancel_asked",
    "not_routed",
    "completed",
    "dead_letter",
)
"""What comes first when clocks of whole milliseconds say the same time."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `at` is unix seconds; the place is that of the record that tells it.

    `text` is for a person, `details` are the same figures for a program. Neither quotes a prompt
    or an answer.
    """

    name: EventName
    at: float
    topic: str
    partition: int
    offset: int
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """As a Kafka console is asked for it: `topic partition-offset`."""
        return f"{self.topic} {self.partition}-{self.offset}"

    def as_json(self) -> dict[str, Any]:
        """The event as `trace --json` prints it."""
        return {
            "at": to_rfc3339(self.at),
            "event": self.name,
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "text": self.text,
            **self.details,
        }


def in_order(events: list[Event]) -> tuple[Event, ...]:
    """By time, and what must have come first first where the times are equal."""
    return tuple(
        sorted(
            events,
            key=lambda one: (
                round(one.at, 3),
                _ORDER.index(one.name),
                one.topic,
                one.partition,
                one.offset,
            ),
        )
    )
