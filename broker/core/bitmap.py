"""The commit metadata: which offsets past the committed base are done, as checked text.

Kafka keeps up to 4,096 bytes of text beside a committed offset, and librdkafka's Python binding
counts one byte more than the text has, so a text holds at most `MAX_TEXT` bytes. It looks like

    wb1 <code> <armour> <payload>

without the spaces. `code` says what the body is: `b` a bitset, `r` run lengths, `B` and `R` the
same deflated. `armour` says how the payload became text: `6` base64, `8` base85 (denser, slower,
taken only when base64 does not fit). The payload is a CRC-32, the base (8 bytes), and the body;
the checksum covers code, base and body. The empty text means: nothing past the base is done.

A set of done offsets travels through here as an `int` whose bit `i` says that offset `base + i`
is done. Bit 0 is never set: then the base itself would be higher.
"""

import base64
import binascii
import struct
import zlib
from typing import Final

MAX_TEXT: Final = 4095
"""Most bytes of text in one commit (measured: 4,096 answers OFFSET_METADATA_TOO_LARGE)."""

MAX_SPAN: Final = 1 << 24
"""Widest window that is ever written or believed, in offsets. A run length that claims more is
corrupt, whatever its checksum says."""

_PREFIX: Final = "wb1"
_HEAD: Final = struct.Struct(">IQ")
_MAX_BODY: Final = (MAX_TEXT - len(_PREFIX) - 2) // 5 * 4 - _HEAD.size
_WIDEST_SHIFT: Final = 21  # four bytes hold any length up to MAX_SPAN
_DEFLATED: Final = {"b": "B", "r": "R"}

CAPACITY: Final = _MAX_BODY * 8
"""Offsets past the base that always fit, whatever their pattern (26,080)."""


class UndecodableMetadataError(ValueError):
    """The text beside an offset is not ours, or damaged: nothing past the base counts as done."""


class WindowFullError(ValueError):
    """The done offsets are too far past the base for one commit; hold them until the base moves."""


def encode(base: int, bits: int) -> str:
    """Text for a commit at `base` with the offsets of `bits` done past it.

    Raises `WindowFullError` when it cannot be said in `MAX_TEXT` bytes, which never happens while
    the highest done offset is less than `CAPACITY` past the base.
    """
    if bits <= 0:
        return ""
    if bits & 1:
        raise ValueError(f"offset {base} is done, so it cannot be the base")
    span = bits.bit_length()
    if span > MAX_SPAN:
        raise WindowFullError(f"{span} offsets past {base}: more than {MAX_SPAN} are never written")
    size = (span + 7) >> 3
    code, body = "b", b""
    # A run costs a byte or more, so count the changes before the runs are worked out.
    if (bits ^ (bits >> 1)).bit_count() < size:
        code, body = "r", _runs(bits)
    if not body or len(body) >= size:
        code, body = "b", bits.to_bytes(size, "little")
    text = _armoured(base, code, body)
    if text is None:
        text = _armoured(base, _DEFLATED[code], zlib.compress(body, 6))
    if text is None:
        raise WindowFullError(
            f"{span} offsets past {base} do not fit into {MAX_TEXT} bytes; {CAPACITY} always do"
        )
    return text


def decode(base: int, text: str) -> int:
    """Done offsets past `base`, as bits, of a text that `encode` wrote for the same base.

    Raises `UndecodableMetadataError` for any other text.
    """
    if not text:
        return 0
    if len(text) > MAX_TEXT or not text.isascii() or text[:3] != _PREFIX:
        raise UndecodableMetadataError(f"{len(text)} characters that are not of version 1")
    code, armour = text[3:4], text[4:5]
    payload = _unarmoured(armour, text[5:])
    if len(payload) <= _HEAD.size:
        raise UndecodableMetadataError(f"{len(payload)} bytes hold no window")
    checksum, of = _HEAD.unpack_from(payload)
    if of != base:
        raise UndecodableMetadataError(f"written for base {of}, found beside {base}")
    if checksum != zlib.crc32(payload[4:], ord(code)):
        raise UndecodableMetadataError("the checksum differs")
    body = payload[_HEAD.size :]
    if code in "BR":
        body = _inflated(body)
    if code in "bB":
        bits = int.from_bytes(body, "little")
    elif code in "rR":
        bits = _from_runs(body)
    else:
        raise UndecodableMetadataError(f"code {code!r} is unknown")
    if bits & 1 or not bits or bits.bit_length() > MAX_SPAN:
        raise UndecodableMetadataError("it marks what cannot be marked")
    return bits


def _armoured(base: int, code: str, body: bytes) -> str | None:
    if len(body) > _MAX_BODY:
        return None
    rest = base.to_bytes(8, "big") + body
    payload = zlib.crc32(rest, ord(code)).to_bytes(4, "big") + rest
    text = f"{_PREFIX}{code}6{base64.b64encode(payload).decode('ascii')}"
    if len(text) > MAX_TEXT:
        text = f"{_PREFIX}{code}8{base64.b85encode(payload).decode('ascii')}"
    return text


def _unarmoured(armour: str, text: str) -> bytes:
    try:
        if armour == "6":
            return binascii.a2b_base64(text, strict_mode=True)
        if armour == "8":
            return base64.b85decode(text)
    except ValueError as error:
        raise UndecodableMetadataError(f"the payload is not text of ours: {error}") from error
    raise UndecodableMetadataError(f"armour {armour!r} is unknown")


def _inflated(body: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(body, (MAX_SPAN >> 3) + 1)
    except zlib.error as error:
        raise UndecodableMetadataError(f"the body does not inflate: {error}") from error
    if not inflater.eof or inflater.unused_data:
        raise UndecodableMetadataError("the deflated body is cut, too long or followed by more")
    return plain


def _runs(bits: int) -> bytes:
    """Lengths of not-done and done runs in turn, from bit 0, as little-endian base-128 numbers."""
    digits = bin(bits)[:1:-1]
    out = bytearray()
    at, wanted = 0, "1"
    while at >= 0:
        to = digits.find(wanted, at)
        length = (len(digits) if to < 0 else to) - at
        while length >> 7:
            out.append(length & 0x7F | 0x80)
            length >>= 7
        out.append(length)
        at, wanted = to, "0" if wanted == "1" else "1"
    return bytes(out)


def _from_runs(body: bytes) -> int:
    parts: list[str] = []
    at = length = shift = 0
    done = False
    for byte in body:
        length |= (byte & 0x7F) << shift
        if byte & 0x80 and shift < _WIDEST_SHIFT:
            shift += 7
            continue
        if not length or byte & 0x80 or at + length > MAX_SPAN:
            raise UndecodableMetadataError(f"a run of {length} offsets or more at {at}")
        parts.append(("1" if done else "0") * length)
        at += length
        done = not done
        length = shift = 0
    if shift or done or not parts:
        raise UndecodableMetadataError("the runs end too early")
    return int("".join(parts)[::-1], 2)
