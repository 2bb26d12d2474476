"""What an id may be, and which ids belong to the broker."""

import re

MAX_ID_LENGTH = 128

_ID = re.compile(r"[A-Za-z0-9_.:~-]{1,128}\Z")
_PLACE = re.compile(r"[0-9]{1,10}-[0-9]{1,19}\Z")


def is_valid_id(text: str) -> bool:
    """Whether a producer's id follows the contract: 1 to 128 characters of `A-Za-z0-9_.:~-`."""
    return _ID.match(text) is not None


def is_place_id(text: str) -> bool:
    """Whether an id has the form `<partition>-<offset>`.

    That form is kept for records without an id. A producer's own id of this form could name
    another record's place, and one of the two prompts would be dropped as a duplicate.
    """
    return _PLACE.match(text) is not None


def place_id(partition: int, offset: int) -> str:
    """The id of a record that brought none."""
    return f"{partition}-{offset}"
