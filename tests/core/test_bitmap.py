import base64
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core import bitmap
from broker.core.bitmap import (
    CAPACITY,
    MAX_SPAN,
    MAX_TEXT,
    UndecodableMetadataError,
    WindowFullError,
    decode,
    encode,
)

bases = st.integers(0, 2**62)
windows = st.one_of(
    st.integers(1, 2**200).map(lambda bits: bits << 1),
    st.sets(st.integers(1, CAPACITY - 1), min_size=1, max_size=300).map(
        lambda done: sum(1 << place for place in done)
    ),
    st.integers(1, CAPACITY - 1).map(lambda length: ((1 << length) - 1) << 1 & (1 << CAPACITY) - 1),
)


@given(bases, windows)
def test_what_was_encoded_is_decoded(base: int, bits: int) -> None:
    text = encode(base, bits)
    assert len(text.encode()) <= MAX_TEXT
    assert decode(base, text) == bits


@pytest.mark.parametrize("density", [0.01, 0.1, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("span", [1, 7, 8, 9, 1000, 24_500, CAPACITY - 1])
def test_capacity_always_fits_whatever_the_pattern(span: int, density: float) -> None:
    drawn = random.Random(span)
    bits = 1 << span
    for place in range(1, span):
        bits |= (drawn.random() < density) << place
    text = encode(5, bits)
    assert len(text) <= MAX_TEXT
    assert decode(5, text) == bits


def test_at_least_25_000_offsets_past_the_base_always_fit() -> None:
    assert CAPACITY >= 25_000


def test_long_runs_take_few_bytes_and_go_beyond_the_capacity() -> None:
    bits = (1 << 4_000_000) - 2 ^ (1 << 1_000_000)
    text = encode(9, bits)
    assert len(text) < 50
    assert decode(9, text) == bits


def test_a_wide_regular_window_is_deflated_when_nothing_else_fits() -> None:
    bits = int("10" * CAPACITY, 2)
    text = encode(3, bits)
    assert text[3] == "B"
    assert decode(3, text) == bits


def test_what_cannot_fit_is_refused_by_name() -> None:
    bits = random.Random(1).getrandbits(2 * CAPACITY) << 1
    with pytest.raises(WindowFullError, match="do not fit"):
        encode(0, bits)
    with pytest.raises(WindowFullError, match="never written"):
        encode(0, 1 << MAX_SPAN)


def test_a_done_base_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be the base"):
        encode(4, 0b11)


def test_nothing_past_the_base_is_the_empty_text() -> None:
    assert encode(4, 0) == ""
    assert decode(4, "") == 0


@given(bases, windows, st.data())
def test_any_changed_character_is_noticed(base: int, bits: int, data: st.DataObject) -> None:
    text = encode(base, bits)
    place = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(max_codepoint=0x7F).filter(lambda c: c != text[place]))
    try:
        # The last character of base64 may hold spare bits: then the same window is read.
        assert decode(base, text[:place] + other + text[place + 1 :]) == bits
    except UndecodableMetadataError:
        return


@given(bases, windows, st.data())
def test_a_cut_text_is_noticed(base: int, bits: int, data: st.DataObject) -> None:
    text = encode(base, bits)
    with pytest.raises(UndecodableMetadataError):
        decode(base, text[: data.draw(st.integers(1, len(text) - 1))])


@given(st.text(min_size=1))
def test_foreign_text_is_undecodable_and_nothing_worse(text: str) -> None:
    with pytest.raises(UndecodableMetadataError):
        decode(0, text)


@given(st.binary(max_size=200), st.sampled_from("bBrRx"))
def test_noise_in_our_own_frame_is_undecodable_or_bounded(body: bytes, code: str) -> None:
    try:
        bits = decode(7, framed(7, code, body))
    except UndecodableMetadataError:
        return
    assert 0 < bits.bit_length() <= MAX_SPAN
    assert not bits & 1


def test_metadata_of_another_base_is_not_ours() -> None:
    with pytest.raises(UndecodableMetadataError, match="base 10"):
        decode(11, encode(10, 0b110))


@pytest.mark.parametrize(
    "body",
    [
        b"\x01\xff\xff\xff\xff\x07",  # 2**31 offsets: parallel-consumer's corrupt run length
        b"\x01" + b"\x80" * 3000 + b"\x01",
        b"\x01\xff\xff\xff\x07\xff\xff\xff\x07\xff\xff\xff\x07",
        b"\x00\x01",
        b"\x01\x00",
        b"\x05",
        b"\x01\x81",
        b"",
    ],
)
def test_a_corrupt_run_length_never_marks_billions_done(body: bytes) -> None:
    """astubbs/parallel-consumer #480: a corrupt run length marked 2 billion offsets done."""
    with pytest.raises(UndecodableMetadataError):
        decode(7, framed(7, "r", body))


def test_a_deflated_bomb_is_not_inflated() -> None:
    with pytest.raises(UndecodableMetadataError):
        decode(7, framed(7, "B", zlib.compress(bytes(3_000_000), 9)))


def framed(base: int, code: str, body: bytes) -> str:
    """Our own frame, checksum and all, around any body."""
    rest = base.to_bytes(8, "big") + body
    payload = zlib.crc32(rest, ord(code)).to_bytes(4, "big") + rest
    armour = "6" if len(payload) < 3000 else "8"
    encoded = base64.b64encode(payload) if armour == "6" else base64.b85encode(payload)
    assert len(encoded) <= bitmap.MAX_TEXT - 5
    return f"wb1{code}{armour}{encoded.decode()}"
