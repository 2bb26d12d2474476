"""What is in an answer that is no text, in words: pictures by where they lie, vectors by size."""

from collections.abc import Mapping
from typing import Any, Final

from broker.records.data_refs import DataRef, data_ref_of, references_in

_FLOAT_BYTES: Final = 4


def references_of(body: Mapping[str, Any]) -> list[DataRef]:
    """What lies in the store of an answer, in its order; what is no whole reference is left out."""
    found = []
    for holder in references_in(body):
        try:
            found.append(data_ref_of(holder))
        except (KeyError, TypeError):
            continue
    return found


def told(body: Mapping[str, Any]) -> str:
    """In a few words what this answer is."""
    refs = references_of(body)
    if refs:
        return "\n".join(
            f"{ref.media_type or 'A file'} of {ref.size:,} bytes: {ref.url}" for ref in refs
        )
    data = body.get("data")
    sizes = {_dimensions(item) for item in data} if isinstance(data, list) else set()
    if not isinstance(data, list) or not sizes or None in sizes:
        return "The result is no text; --json shows it."
    count = "1 embedding" if len(data) == 1 else f"{len(data):,} embeddings"
    return f"{count} of {' or '.join(f'{size:,}' for size in sorted(filter(None, sizes)))} numbers."


def _dimensions(item: Any) -> int | None:
    """How many numbers a vector has, as a list or as base64 of 32-bit floats; None for no vector.

    https://platform.openai.com/docs/api-reference/embeddings/create, `encoding_format`.
    """
    vector = item.get("embedding") if isinstance(item, dict) else None
    if isinstance(vector, list):
        return len(vector) or None
    if isinstance(vector, str) and vector:
        return (len(vector.rstrip("=")) * 3 // 4) // _FLOAT_BYTES or None
    return None
