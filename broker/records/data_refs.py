"""References to bytes that lie in a store: in completions what came, in prompts what is given.

A reference is four fields wherever the bytes themselves, their text or a data URL may stand:
`dataref` (the URL), `dataref_size` (bytes), `dataref_sha256` (hex) and `dataref_type`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

MAX_URL: Final = 2_048
TEXT_PARTS: Final = frozenset({"text", "input_text"})
IMAGE_PARTS: Final = frozenset({"image_url", "input_image"})
FILE_PARTS: Final = frozenset({"file", "input_file"})
AUDIO_PARTS: Final = frozenset({"input_audio"})
PARTS: Final = TEXT_PARTS | IMAGE_PARTS | FILE_PARTS | AUDIO_PARTS
"""Types of content parts that may come by reference."""

_INLINE: Final = ("url", "data", "file_data", "file_id", "text")
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\x00-\x1f\\]+")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}")
"""RFC 6838, 4.2."""


@dataclass(frozen=True, slots=True)
class DataRef:
    """Bytes in a store. `size` is bytes, `sha256` hex; an empty `media_type` is not known."""

    url: str
    size: int
    sha256: str
    media_type: str = "application/json"

    def as_json(self) -> dict[str, Any]:
        """The fields of a record."""
        return {
            "dataref": self.url,
            "dataref_size": self.size,
            "dataref_sha256": self.sha256,
            "dataref_type": self.media_type,
        }


FIELDS: Final = frozenset(DataRef("", 0, "").as_json())


def data_ref_of(holder: Mapping[str, Any]) -> DataRef:
    """The reference that these fields are; raises KeyError or TypeError when they are none."""
    url, size, digest = holder["dataref"], holder["dataref_size"], holder["dataref_sha256"]
    media_type = holder.get("dataref_type") or ""
    texts = isinstance(url, str) and isinstance(digest, str) and isinstance(media_type, str)
    if not texts or type(size) is not int:
        raise TypeError("a field of a reference has another type than the contract says")
    return DataRef(url, size, digest, media_type)


def is_reference(value: object) -> bool:
    """Whether this stands for bytes elsewhere."""
    return isinstance(value, Mapping) and value.get("dataref") is not None


def holder_of(part: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Where in a content part its reference stands: in itself, or in what is named by its type."""
    if part.get("dataref") is not None:
        return part
    inner = part.get(str(part.get("type")))
    return inner if isinstance(inner, Mapping) and is_reference(inner) else None


def is_bare_reference(item: object) -> TypeGuard[Mapping[str, Any]]:
    """Whether an item of a list stands for one text elsewhere: inputs of embeddings do."""
    # A dict, as JSON is read: thousands of texts are asked this for each prompt.
    if not isinstance(item, dict) or item.get("dataref") is None:
        return False
    return "type" not in item and "role" not in item


def bare_problem(item: Mapping[str, Any]) -> str | None:
    """What is wrong with a bare reference, as the end of a sentence, or None."""
    if not item.keys() <= FIELDS:
        return f"beside a `dataref` it may have only {', '.join(sorted(FIELDS - {'dataref'}))}"
    return reference_problem(item)


def reference_problem(holder: Mapping[str, Any]) -> str | None:
    """What is wrong with these fields, as the end of a sentence, or None."""
    url, size, digest = (holder.get(f"dataref{end}") for end in ("", "_size", "_sha256"))
    if not isinstance(url, str) or len(url) > MAX_URL or not _URL.fullmatch(url):
        return f"`dataref` must be a URL of at most {MAX_URL:,} characters"
    if type(size) is not int or size < 1:
        return "`dataref_size` must be its number of bytes"
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        return "`dataref_sha256` must be its SHA-256 as 64 small hexadecimal digits"
    media_type = holder.get("dataref_type")
    if media_type is not None and not (isinstance(media_type, str) and _TYPE.fullmatch(media_type)):
        return "`dataref_type` must be a media type such as image/png"
    return None


def part_problem(part: Mapping[str, Any]) -> str | None:
    """What is wrong with the reference in a content part, or None, also when it has none."""
    holder = holder_of(part)
    if holder is None:
        return None
    kind = part.get("type")
    if kind not in PARTS:
        return f"a part with `dataref` must be one of {', '.join(sorted(PARTS))}"
    inline = holder is not part and any(holder.get(name) is not None for name in _INLINE)
    if inline or (holder is part and (part.get("text") or part.get("image_url"))):
        return "it has both a `dataref` and what it stands for"
    return reference_problem(holder)


def references_in(value: Any) -> Iterator[Mapping[str, Any]]:
    """Everything in a decoded record that has a `dataref` that is text, in the order it stands."""
    stack = [value]
    while stack:
        held = stack.pop()
        if isinstance(held, Mapping):
            if isinstance(held.get("dataref"), str):
                yield held
            stack.extend(reversed(list(held.values())))
        elif isinstance(held, list):
            stack.extend(reversed(held))
