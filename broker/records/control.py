"""What people ask of prompts that are on their way, as it stands in `llm.control`."""

from dataclasses import dataclass
from typing import Final

import orjson

from broker.records.errors import BadRecordError
from broker.records.times import from_rfc3339, to_rfc3339

CANCEL: Final = "cancel"


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nothing more is to be done for a prompt.

    `at` is when it was asked by the asker's clock (unix seconds); what counts is the broker's time
    of the record, which is of the same clock as the time of the prompt's acceptance. `by` says who
    asked, for people.
    """

    id: str
    at: float
    by: str = ""

    @property
    def key(self) -> bytes:
        """The record's key: the prompt's id."""
        return self.id.encode()


def encode_cancel(cancel: Cancel) -> bytes:
    """The value of a cancel's record."""
    return orjson.dumps(
        {"type": CANCEL, "id": cancel.id, "at": to_rfc3339(cancel.at), "by": cancel.by}
    )


def decode_control(value: bytes | None) -> Cancel | None:
    """Read a control record; None for one of a type that is not known here.

    Raises BadRecordError when it is not one of ours.
    """
    try:
        data = orjson.loads(value or b"")
        if data["type"] != CANCEL:
            return None
        return Cancel(_text(data["id"]), from_rfc3339(data["at"]), _text(data.get("by", "")))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadRecordError(
            "A control record is not in the contract's form.",
            mend="Something other than Weighbridge wrote to the control topic.",
            code="bad_control",
        ) from error


def _text(given: object) -> str:
    if not isinstance(given, str):
        raise TypeError("a text is expected")
    return given
