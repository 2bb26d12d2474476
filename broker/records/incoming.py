"""A record as a Kafka client delivered it, before anybody looked inside."""

from dataclasses import dataclass

Headers = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Source:
    """Where a prompt stands in `llm.prompts`."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class InputRecord:
    """One Kafka record. `timestamp_s` is unix seconds; a null value is None, as is a null key."""

    topic: str
    partition: int
    offset: int
    timestamp_s: float
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    def header(self, name: str) -> bytes | None:
        """The first header of that name, or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None
