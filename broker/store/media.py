"""What bytes are, by how they begin, and what a file of them is called. Pure."""

from collections.abc import Mapping
from typing import Final

UNKNOWN: Final = "application/octet-stream"
JSON: Final = "application/json"

_ENDINGS: Final[Mapping[str, str]] = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/webp": "webp",
    "image/gif": "gif",
    "application/pdf": "pdf",
    JSON: "json",
    "text/plain": "txt",
}
_MAGIC: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)


def sniffed(data: bytes) -> str | None:
    """The media type by the first bytes (PNG, JPEG, WebP, GIF, PDF), or None.

    https://mimesniff.spec.whatwg.org/#matching-an-image-type-pattern
    """
    if data[:4] == b"RIFF" and data[8:14] == b"WEBPVP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)


def ending(media_type: str) -> str:
    """The ending of a file's name, without the dot; `bin` for what is not known."""
    return _ENDINGS.get(media_type, "bin")
