"""Under which id a record of the prompts' topic ends, and when: quickly, for a million of them.

The answer is the one that `parse_prompt` gives; the short way is taken only where it must agree.
"""

from dataclasses import dataclass
from typing import Final

from broker.records import headers as names
from broker.records.ids import is_place_id, is_valid_id, place_id
from broker.records.incoming import InputRecord
from broker.records.parsing import parse_prompt
from broker.records.prompt import Catalog, Prompt
from broker.records.prompt_headers import READ_HEADERS
from broker.records.strict_json import StrictJsonError, loads

_READ: Final = READ_HEADERS | {names.ORIGIN, names.ACCEPTED_AT}


@dataclass(frozen=True, slots=True)
class Asked:
    """One record of the prompts' topic. `own_id`: its producer gave the id. Times: unix seconds.

    `origin` is `<partition>-<offset>` where the record is a copy that was forwarded home.
    """

    id: str
    own_id: bool
    accepted_at: float
    deadline: float | None = None
    origin: str | None = None


def asked(record: InputRecord, catalog: Catalog) -> Asked:
    """What this record asks for. Never raises, whatever its bytes are."""
    if not any(name in _READ or name.startswith("ce_") for name, _ in record.headers):
        quick = _quickly(record)
        if quick is not None:
            return quick
    prompt = parse_prompt(record, catalog)
    origin = record.header(names.ORIGIN)
    return Asked(
        prompt.id,
        prompt.explicit_id,
        prompt.accepted_at,
        prompt.deadline if isinstance(prompt, Prompt) else None,
        None if origin is None else origin.decode("ascii", "replace"),
    )


def _quickly(record: InputRecord) -> Asked | None:
    value = (record.value or b"").lstrip()
    if value[:1] != b"{":
        # No id can be in it, and no deadline.
        return Asked(place_id(record.partition, record.offset), False, record.timestamp_s)
    try:
        fields = loads(value)
    except StrictJsonError:
        return Asked(place_id(record.partition, record.offset), False, record.timestamp_s)
    if "deadline" in fields or "timeout_s" in fields:
        return None
    given = fields.get("id")
    if isinstance(given, str) and is_valid_id(given) and not is_place_id(given):
        return Asked(given, True, record.timestamp_s)
    return Asked(place_id(record.partition, record.offset), False, record.timestamp_s)
