"""The id of a record, quickly: what filling a window from a million records needs of each.

The same answer as parsing the whole prompt gives (`parse_prompt(...).explicit_id` and `.id`); the
slow way is taken whenever a header might have a say.
"""

from collections.abc import Callable

from broker.classifier.header_names import all_writable
from broker.records.ids import is_place_id, is_valid_id
from broker.records.incoming import Headers, InputRecord
from broker.records.parsing import parse_prompt
from broker.records.prompt import Catalog
from broker.records.prompt_headers import READ_HEADERS
from broker.records.strict_json import StrictJsonError, loads

Identify = Callable[[bytes | None, Headers], str | None]
"""The producer's own id of a record with this value and these headers, or None."""


def identifier(catalog: Catalog) -> Identify:
    """The function for prompts that are judged by this catalog."""

    def identify(value: bytes | None, headers: Headers) -> str | None:
        if headers:
            if not all_writable(headers):
                headers = ()
            elif any(name in READ_HEADERS or name.startswith("ce_") for name, _ in headers):
                return _parsed(value, headers, catalog)
        if not value or value[:1] != b"{":
            return _parsed(value, headers, catalog)
        try:
            given = loads(value).get("id")
        except StrictJsonError:
            return None
        usable = isinstance(given, str) and is_valid_id(given) and not is_place_id(given)
        return given if usable else None

    return identify


def _parsed(value: bytes | None, headers: Headers, catalog: Catalog) -> str | None:
    prompt = parse_prompt(InputRecord("", 0, 0, 0.0, None, value, headers), catalog)
    return prompt.id if prompt.explicit_id else None
