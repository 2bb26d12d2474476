"""Records of the log with only the fields that a replay needs."""

from typing import Final

import msgspec

from broker.records.times import from_rfc3339


class Step(msgspec.Struct):
    """Of one step of a route."""

    provider: str


class Answered(msgspec.Struct):
    """Of a completion."""

    id: str
    status: str
    completed_at: str
    provider: str = ""
    lane: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    cost_estimated: bool = False
    calls: int = 0
    route: list[Step] = []
    error: "Problem | None" = None

    @property
    def completed_s(self) -> float:
        """Unix seconds."""
        return from_rfc3339(self.completed_at)


class Problem(msgspec.Struct):
    """Of an error."""

    code: str = ""


class Weighed(msgspec.Struct):
    """Of a work record."""

    id: str
    input_tokens: int
    expected_output_tokens: int = 0


answered: Final = msgspec.json.Decoder(Answered).decode
weighed: Final = msgspec.json.Decoder(Weighed).decode
UNREADABLE: Final = (msgspec.DecodeError, msgspec.ValidationError, ValueError, TypeError)
"""What the decoders raise for a record that is not ours (a null value is a TypeError)."""
