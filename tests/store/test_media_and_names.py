"""What an object is called, which names are ours, and what leads out of a store."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.store.media import ending, sniffed
from broker.store.names import bare_url, folder_of, is_of, name_below, object_name

AT = 1_795_701_600.0  # 2026-11-26T14:00:00Z
DIGEST = "0a" * 32


def test_names_tell_deployment_hour_sum_and_type() -> None:
    folder = folder_of("abc-1", "llm")
    name = object_name(folder, AT, DIGEST, "image/png")
    assert name == f"abc-1/llm/2026-11-26/14/{DIGEST}.png"
    assert object_name(folder, AT + 3_599, DIGEST, "image/png") == name
    assert object_name(folder, AT + 3_600, DIGEST, "image/png") != name
    assert is_of(folder, name)


@pytest.mark.parametrize(
    "name",
    [
        f"abc-1/llm2/2026-11-26/14/{DIGEST}.png",
        f"abc-1/llm/2026-11-26/14/{DIGEST}.png/x",
        f"abc-1/llm/2026-11-26/{DIGEST}.png",
        f"x/abc-1/llm/2026-11-26/14/{DIGEST}.png",
        "abc-1/llm/notes.txt",
        f"abc-1/llm/2026-11-26/14/{DIGEST.upper()}.png",
        "abc-1/llm",
        "",
    ],
)
def test_names_of_others_are_not_ours(name: str) -> None:
    assert not is_of(folder_of("abc-1", "llm"), name)


def test_a_clusters_odd_id_stays_one_folder() -> None:
    assert folder_of("../x/y", "llm").count("/") == 1
    assert folder_of("", "llm") == "unnamed/llm"


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("s3://b/in/a.png", "a.png"),
        ("s3://b/in/x/a%20b.png", "x/a b.png"),
        ("s3://b/in", None),
        ("s3://b/in/", None),
        ("s3://b/inside/a.png", None),
        ("s3://b/in/../out/a.png", None),
        ("s3://b/in/%2e%2e/out/a.png", None),
        ("s3://b/in/x%2F..%2F../a.png", None),
        ("s3://b/in//a.png", None),
        ("s3://b/in/./a.png", None),
        ("s3://b/in/a.png?versionId=2", None),
        ("s3://b/in/a.png#x", None),
        ("s3://b/in/a%00.png", None),
        ("s3://b/in/..\\a.png", None),
        ("s3://me@b/in/a.png", None),
        ("https://b/in/a.png", None),
        ("S3://b/in/a.png", None),
    ],
)
def test_only_what_is_below_a_root_is_in_it(url: str, name: str | None) -> None:
    assert name_below("s3://b/in", url) == name


@given(st.text(max_size=60))
def test_no_url_leads_out_of_a_root(text: str) -> None:
    name = name_below("s3://b/in", f"s3://b/in/{text}")
    if name is not None:
        assert all(part not in {"", ".", ".."} for part in name.split("/"))


def test_a_url_of_records_has_no_secrets_in_it() -> None:
    assert bare_url("s3://id:key@bucket/path/?secret=x#y") == "s3://bucket/path"
    assert bare_url("file:///a/b/") == "file:///a/b"


@pytest.mark.parametrize(
    ("data", "media_type", "suffix"),
    [
        (b"\x89PNG\r\n\x1a\nrest", "image/png", "png"),
        (b"\xff\xd8\xff\xe0rest", "image/jpeg", "jpg"),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 ", "image/webp", "webp"),
        (b"GIF89a..", "image/gif", "gif"),
        (b"%PDF-1.7", "application/pdf", "pdf"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", None, "bin"),
        (b"<svg>", None, "bin"),
        (b"", None, "bin"),
    ],
)
def test_media_types_come_from_the_bytes(data: bytes, media_type: str | None, suffix: str) -> None:
    assert sniffed(data) == media_type
    assert ending(media_type or "") == suffix
