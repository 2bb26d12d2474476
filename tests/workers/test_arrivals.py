"""Messages of a work topic as jobs, or as what they are instead."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pytest

from broker.records.work import encode_work, work_headers
from tests.workers.building import work
from workers.arrivals import arrival
from workers.job import Job, UnreadableWork


@dataclass
class Message:
    """What confluent-kafka hands out, as far as it is looked at."""

    content: bytes | None
    named: Sequence[tuple[str, bytes | None]] | None = None
    broken_headers: bool = False

    def value(self) -> bytes | None:
        return self.content

    def key(self) -> bytes | None:
        return b"key"

    def headers(self) -> Sequence[tuple[str, bytes | None]] | None:
        if self.broken_headers:
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
        return self.named

    def topic(self) -> str:
        return "t.work.azure"

    def partition(self) -> int:
        return 6

    def offset(self) -> int:
        return 77


def test_work_comes_with_its_place_its_lane_and_the_calls_made_elsewhere() -> None:
    given = work(attempt=3, fields={"unknown": {"x": [1]}})
    headers = [*work_headers(given), ("traceparent", b"00-1")]
    got = arrival(Message(encode_work(given), headers), 5, "medium")
    assert isinstance(got, Job)
    assert (got.place.topic, got.place.partition, got.place.offset) == ("t.work.azure", 6, 77)
    assert (got.place.epoch, got.lane, got.calls, got.calls_here) == (5, "medium", 3, 0)
    assert got.work.fields == given.fields
    assert ("traceparent", b"00-1") in got.work.headers
    assert got.size > len(encode_work(given))


GOOD = orjson.loads(encode_work(work()))


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


NEWER = ("cost_usd", "cost_estimated")
"""Not in the records of the first version, which may still wait when a worker is replaced."""

BAD: list[bytes | None] = [
    None,
    b"",
    b"{",
    b"null",
    b"[]",
    b'"x"',
    b"\xff\xfe",
    b"[" * 5_000,
    *(orjson.dumps(without(name)) for name in GOOD if name not in NEWER),
    *(
        orjson.dumps({**GOOD, name: value})
        for name, value in [
            ("id", 7),
            ("kind", "video"),
            ("model", None),
            ("weight", "heavy"),
            ("weight", 1.5),
            ("weight", True),
            ("attempt", None),
            ("route", []),
            ("route", {}),
            ("route", [{"provider": "azure"}]),
            ("route", ["azure"]),
            ("accepted_at", 5),
            ("accepted_at", "yesterday"),
            ("deadline", "2026-01-01T00:00:00"),
            ("deadline", 5),
            ("source", [0, 7]),
            ("reply_partition", "4"),
            ("cost_usd", "much"),
            ("prompt", "text"),
            ("prompt", {"metadata": "x"}),
            ("prompt", {"provider": 7}),
        ]
    ),
]


@pytest.mark.parametrize("value", BAD)
def test_what_is_no_work_is_kept_as_it_came(value: bytes | None) -> None:
    got = arrival(Message(value, [("a", None), ("b", b"\xff")]), 5, "heavy")
    assert isinstance(got, UnreadableWork)
    assert (got.key, got.value, got.headers) == (b"key", value, (("a", b""), ("b", b"\xff")))
    assert (got.code, got.lane, got.place.offset) == ("bad_work_record", "heavy", 77)


def test_headers_whose_names_are_no_text_do_not_stop_the_work() -> None:
    got = arrival(Message(encode_work(work()), broken_headers=True), 1, "light")
    assert isinstance(got, Job)
    assert got.work.headers == ()


def test_an_empty_record_is_not_free() -> None:
    assert arrival(Message(None), 1, "light").size > 0


def test_work_of_the_version_before_costs_is_still_work() -> None:
    older = {name: value for name, value in GOOD.items() if name not in NEWER}
    got = arrival(Message(orjson.dumps(older)), 5, "heavy")
    assert isinstance(got, Job)
    assert (got.work.cost_usd, got.work.cost_estimated) == (0.0, False)
