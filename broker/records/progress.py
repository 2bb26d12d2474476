"""Where a prompt stands and when it should be done, as workers say it in `llm.progress`."""

from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal

import orjson

from broker.records.errors import BadRecordError
from broker.records.times import from_rfc3339, to_rfc3339

ProgressState = Literal["waiting", "running"]

Range = tuple[float, float]
"""From when to when, in unix seconds."""


@dataclass(frozen=True, slots=True)
class ProgressRecord:
    """What a worker said of a prompt at `at` (unix seconds). The newest of an id counts.

    `place` is how many are expected to start before it in its lane, `starts_at` and `ends_at` are
    ranges that the real times fall into four times in five. Of a call that runs `starts_at` is when
    it began.
    """

    id: str
    tenant: str
    provider: str
    worker: str
    lane: str
    state: ProgressState
    place: int | None
    starts_at: Range
    ends_at: Range
    at: float

    @property
    def key(self) -> bytes:
        """The record's key: the prompt's id."""
        return self.id.encode()


_FIELDS: Final = frozenset(field.name for field in fields(ProgressRecord))


def progress_json(record: ProgressRecord) -> dict[str, Any]:
    """The record as it stands in the topic."""
    return {
        **asdict(record),
        "starts_at": [to_rfc3339(one) for one in record.starts_at],
        "ends_at": [to_rfc3339(one) for one in record.ends_at],
        "at": to_rfc3339(record.at),
    }


def encode_progress(record: ProgressRecord) -> bytes:
    """The value of a progress record."""
    return orjson.dumps(progress_json(record))


def decode_progress(value: bytes | None) -> ProgressRecord:
    """Read a progress record; raises BadRecordError when it is not one of ours."""
    try:
        data = orjson.loads(value or b"")
        return ProgressRecord(
            **{
                **{name: given for name, given in data.items() if name in _FIELDS},
                "starts_at": _range(data["starts_at"]),
                "ends_at": _range(data["ends_at"]),
                "at": from_rfc3339(data["at"]),
            }
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadRecordError(
            "A progress record is not in the contract's form.",
            mend="Something other than a worker wrote to the progress topic.",
            code="bad_progress",
        ) from error


def _range(given: Any) -> Range:
    low, high = given
    return from_rfc3339(low), from_rfc3339(high)
