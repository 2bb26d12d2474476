"""The tenants' ledger: what each prompt of a tenant with limits was charged, and what it used.

`<prefix>.tenants` has a charge for each prompt that was let in, written in the transaction that
routes it, and a correction in the one that ends it: the difference between what it used and what it
was charged. So their sum is right through any crash. What classifiers lend each other of their
parts of the limits stands there too. `<prefix>.tenant-totals` has the sums.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson

from broker.records.errors import BadRecordError
from broker.records.tenant_parts import ByPartition, Lent, Owner, Wanted
from broker.records.times import from_rfc3339, to_rfc3339

EntryKind = Literal["charge", "correction"]
_KINDS: Final[Mapping[str, EntryKind]] = {"charge": "charge", "correction": "correction"}


@dataclass(frozen=True, slots=True)
class Charged:
    """What a prompt was charged when it was let in, as its work record carries it.

    `partition` is that whose part of the limits it was charged to, `at` when it was to begin (unix
    seconds), which says the minute, day and month that it counts in.
    """

    partition: int
    at: float
    tokens: int
    usd: float

    def as_json(self) -> dict[str, Any]:
        """As it stands in a record."""
        return {
            "partition": self.partition,
            "at": to_rfc3339(self.at),
            "tokens": self.tokens,
            "usd": self.usd,
        }


def charged_of(data: Mapping[str, Any]) -> Charged:
    """Read it; raises KeyError, TypeError or ValueError when it is none."""
    return Charged(
        int(data["partition"]), from_rfc3339(data["at"]), int(data["tokens"]), float(data["usd"])
    )


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger. A correction has the time and partition of the charge it corrects.

    `prompt` is the prompt's id, `source` the partition and offset of its record, for a charge;
    `partition` is that whose part of the limits it counts in.
    """

    tenant: str
    kind: EntryKind
    partition: int
    at: float
    requests: float
    tokens: float
    usd: float
    prompt: str = ""
    source: tuple[int, int] | None = None


Line = Entry | Owner | Lent | Wanted


def encode_line(line: Line) -> bytes:
    """The value of any line."""
    if isinstance(line, Entry):
        return encode_entry(line)
    if isinstance(line, Owner):
        return orjson.dumps({"kind": "owner", "by": line.by, "partitions": line.partitions})
    if isinstance(line, Wanted):
        return orjson.dumps(
            {
                "kind": "wanted",
                "tenant": line.tenant,
                "at": to_rfc3339(line.at),
                "by": line.by,
                "partition": line.partition,
                "amounts": line.amounts,
            }
        )
    return orjson.dumps(
        {
            "kind": "lent",
            "tenant": line.tenant,
            "period": line.period,
            "at": to_rfc3339(line.at),
            "by": line.by,
            "number": line.number,
            "moves": _plain(line.moves),
        }
    )


def decode_line(value: bytes | None) -> Line:
    """Read any line; raises BadRecordError when it is none of ours."""
    try:
        data = orjson.loads(value or b"")
        kind = data["kind"]
        if kind == "owner":
            return Owner(str(data["by"]), tuple(map(int, data["partitions"])))
        if kind == "lent":
            return Lent(
                str(data["tenant"]),
                str(data["period"]),
                from_rfc3339(data["at"]),
                str(data["by"]),
                int(data["number"]),
                _by_partition(data["moves"]),
            )
        if kind == "wanted":
            return _wanted(data)
        return decode_entry(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _bad("tenants") from error


def _wanted(data: Mapping[str, Any]) -> Wanted:
    requests, tokens, usd = map(float, data["amounts"])
    return Wanted(
        str(data["tenant"]),
        from_rfc3339(data["at"]),
        str(data["by"]),
        int(data["partition"]),
        (requests, tokens, usd),
    )


def encode_entry(entry: Entry) -> bytes:
    """The value of a charge or a correction."""
    return orjson.dumps(
        {
            "tenant": entry.tenant,
            "kind": entry.kind,
            "partition": entry.partition,
            "at": to_rfc3339(entry.at),
            "requests": entry.requests,
            "tokens": entry.tokens,
            "usd": entry.usd,
            "prompt": entry.prompt,
            "source": entry.source,
        }
    )


def decode_entry(value: bytes | None) -> Entry:
    """Read a charge or a correction; raises BadRecordError when it is none of ours."""
    try:
        data = orjson.loads(value or b"")
        return Entry(
            str(data["tenant"]),
            _KINDS[data["kind"]],
            int(data["partition"]),
            from_rfc3339(data["at"]),
            float(data["requests"]),
            float(data["tokens"]),
            float(data["usd"]),
            str(data.get("prompt", "")),
            _place(data.get("source")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _bad("tenants") from error


@dataclass(frozen=True, slots=True)
class Totals:
    """One tenant's sums up to, and without, an offset of the ledger, by UTC day and month.

    `lent` is what of the partitions' parts of its limits of a minute is lent, or, below zero,
    borrowed.
    With the empty name for a tenant it says only that the totals before it cover everything up to
    `offset`, whose record is at least as old as `at` (unix seconds).
    """

    tenant: str
    offset: int
    at: float
    days: Mapping[str, ByPartition] = field(default_factory=dict)
    months: Mapping[str, ByPartition] = field(default_factory=dict)
    lent: ByPartition = field(default_factory=dict)

    @property
    def key(self) -> bytes:
        """The compacted topic's key."""
        return self.tenant.encode("utf-8", "surrogatepass")


EVERYONE: Final = ""


def encode_totals(totals: Totals) -> bytes:
    """The value of a record of totals."""
    return orjson.dumps(
        {
            "tenant": totals.tenant,
            "offset": totals.offset,
            "at": to_rfc3339(totals.at),
            "days": {name: _plain(by) for name, by in totals.days.items()},
            "months": {name: _plain(by) for name, by in totals.months.items()},
            "lent": _plain(totals.lent),
        }
    )


def decode_totals(value: bytes | None) -> Totals:
    """Read a record of totals; raises BadRecordError when it is none of ours."""
    try:
        data = orjson.loads(value or b"")
        return Totals(
            str(data["tenant"]),
            int(data["offset"]),
            from_rfc3339(data["at"]),
            {name: _by_partition(by) for name, by in data["days"].items()},
            {name: _by_partition(by) for name, by in data["months"].items()},
            _by_partition(data.get("lent", {})),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _bad("tenant-totals") from error


def _place(given: Any) -> tuple[int, int] | None:
    if given is None:
        return None
    partition, offset = given
    return int(partition), int(offset)


def _plain(by: ByPartition) -> dict[str, tuple[float, float, float]]:
    return {str(partition): amounts for partition, amounts in by.items()}


def _by_partition(given: Mapping[str, Any]) -> ByPartition:
    return {
        int(partition): (float(requests), float(tokens), float(usd))
        for partition, (requests, tokens, usd) in given.items()
    }


def _bad(topic: str) -> BadRecordError:
    return BadRecordError(
        f"A record of the topic {topic} is not in our form.",
        mend=f"Something other than Weighbridge wrote to the {topic} topic.",
        code="bad_tenant_record",
    )
