"""Reading the two traces as one stream of arrivals."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final, Literal

Source = Literal["conv", "code"]
SOURCES: Final[tuple[Source, ...]] = ("conv", "code")


@dataclass(frozen=True, slots=True)
class TraceRequest:
    """One request as it was recorded; `at_s` is seconds since the first one of its own trace."""

    at_s: float
    input_tokens: int
    output_tokens: int
    source: Source


def load_trace(sources: Sequence[Source] = SOURCES) -> tuple[TraceRequest, ...]:
    """The shipped requests, 1,500 of each source, merged by arrival; each source begins at 0 s."""
    merged = [request for source in sources for request in _read(source)]
    return tuple(sorted(merged, key=lambda request: request.at_s))


def _read(source: Source) -> Iterator[TraceRequest]:
    with (files(__package__) / f"azure-2023-{source}.csv").open(encoding="ascii") as lines:
        for row in csv.DictReader(lines):
            yield TraceRequest(
                float(row["at_s"]), int(row["input_tokens"]), int(row["output_tokens"]), source
            )
