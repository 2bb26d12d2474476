"""Our records with only the fields an audit counts; what is not decoded costs next to nothing."""

from typing import Final

import msgspec

from broker.records.times import from_rfc3339


class Candidate(msgspec.Struct):
    """Of a provider at one step of a route."""

    provider: str
    lost: str = ""


class NotRoutedLine(msgspec.Struct):
    """Of the decision that ended a prompt."""

    code: str
    candidates: list[Candidate] = []


class ErrorLine(msgspec.Struct):
    """Of a completion's error."""

    not_routed: NotRoutedLine | None = None


class CompletionLine(msgspec.Struct):
    """Of a completion."""

    id: str
    status: str
    accepted_at: str
    completed_at: str
    provider: str = ""
    lane: str = ""
    error: ErrorLine | None = None

    @property
    def not_routed(self) -> NotRoutedLine | None:
        """Why nobody could or might take it; None where that is not how it ended."""
        return None if self.error is None else self.error.not_routed

    @property
    def accepted_s(self) -> float:
        """Unix seconds."""
        return from_rfc3339(self.accepted_at)

    @property
    def completed_s(self) -> float:
        """Unix seconds."""
        return from_rfc3339(self.completed_at)


class Step(msgspec.Struct):
    """Of one step of a route."""

    provider: str
    code: str = ""
    candidates: list[Candidate] = []


class WorkLine(msgspec.Struct):
    """Of a work record."""

    id: str
    lane: str
    accepted_at: str
    route: list[Step] = []

    @property
    def accepted_s(self) -> float:
        """Unix seconds."""
        return from_rfc3339(self.accepted_at)


class CallLine(msgspec.Struct):
    """Of a journal record."""

    id: str
    provider: str
    attempt: int
    event: str
    at: str
    outcome: str = ""
    http_status: int | None = None
    cost_usd: float | None = None
    cost_estimated: bool | None = None


completion_line: Final = msgspec.json.Decoder(CompletionLine).decode
work_line: Final = msgspec.json.Decoder(WorkLine).decode
call_line: Final = msgspec.json.Decoder(CallLine).decode
UNREADABLE: Final = (msgspec.DecodeError, msgspec.ValidationError, ValueError, TypeError)
"""What the decoders raise for a record that is not ours (a null value is a TypeError)."""
