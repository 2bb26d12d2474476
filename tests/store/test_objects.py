"""One way to all stores: a folder, and S3 as obstore speaks it to a server of this machine."""

import asyncio
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.records.data_refs import DataRef
from broker.records.errors import UsageError
from broker.settings.sections import InputStore, StoreSettings
from broker.store import objects as module
from broker.store.claims import ClaimStore, own_objects
from broker.store.names import HOUR_S
from broker.store.objects import PUT_S, Objects, StoreFailedError
from broker.store.reading import DataReader, DataRefError
from broker.story.store_sweep import SHORTEST_S, SKEW_S
from tests.store.s3_server import Bucket, s3_server

DATA = b"\x89PNG\r\n\x1a\n" + os.urandom(700_000)


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with s3_server() as made:
        yield made


@pytest.fixture(params=["folder", "s3"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, bucket: Bucket) -> StoreSettings:
    if request.param == "folder":
        return StoreSettings(url=(tmp_path / "a b").as_uri())
    bucket.kept.clear()
    return StoreSettings(**bucket.store)


async def put(settings: StoreSettings, folder: str = "c/llm", data: bytes = DATA) -> DataRef:
    return await ClaimStore(settings, folder).put(data, "image/png")


def test_what_is_put_is_read_listed_and_removed(settings: StoreSettings) -> None:
    async def main() -> None:
        ref = await put(settings)
        assert await DataReader(settings).read(ref) == DATA
        other = await put(settings, "c/llm2", b"other")
        store = own_objects(settings)
        (one,) = [each async for each in store.listed("c/llm")]
        assert f"{store.root}/{one.name}".replace(" ", "%20") == ref.url
        assert one.size == len(DATA)
        assert abs((await store.modified(one.name) or 0.0) - one.modified) < 1
        await store.remove(one.name)
        await store.remove(one.name)
        assert await store.modified(one.name) is None
        assert [each async for each in store.listed("c/llm")] == []
        with pytest.raises(DataRefError, match="nothing"):
            await DataReader(settings).read(ref)
        assert await DataReader(settings).read(other) == b"other"

    asyncio.run(main())


def test_the_same_bytes_are_one_object_that_is_written_again(settings: StoreSettings) -> None:
    async def main() -> None:
        store = own_objects(settings)
        first = await put(settings)
        (before,) = [each async for each in store.listed("c")]
        while (await put(settings)) == first:
            (after,) = [each async for each in store.listed("c")]
            if after.modified > before.modified:
                return
            await asyncio.sleep(0.1)

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_cloud_is_told_the_media_type_and_given_the_settings_keys(bucket: Bucket) -> None:
    bucket.kept.clear()
    ref = asyncio.run(put(StoreSettings(**bucket.store)))
    assert ref.url.startswith("s3://bucket/claims/c/llm/")
    (kept,) = bucket.kept.values()
    assert (kept.data, kept.media_type) == (DATA, "image/png")
    assert bucket.keys == {"AKEY"}


def test_keys_come_from_the_environment(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    given = bucket.store
    given["options"] = {**given["options"], "access_key_id": "env:OUR_KEY"}
    with pytest.raises(UsageError, match="OUR_KEY"):
        own_objects(StoreSettings(**given))
    monkeypatch.setenv("OUR_KEY", "BKEY")
    asyncio.run(put(StoreSettings(**given)))
    assert "BKEY" in bucket.keys


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("az://container/x", {"account_name": "acc", "account_key": "a2V5"}),
        ("az://container/x", {"azure_storage_account_name": "acc", "sas_key": "sv=1&sig=x"}),
        ("gs://bucket/x", {"skip_signature": "true"}),
        ("s3://bucket/x", {"AWS_ENDPOINT_URL": "http://h:1", "AWS_ALLOW_HTTP": "true"}),
        ("https://host.example/x", {"connect_timeout": "5s"}),
    ],
)
def test_stores_of_every_cloud_open_with_their_own_options(
    url: str, options: dict[str, str]
) -> None:
    assert Objects(f"{url}/?key=SECRET", options).root == url


@pytest.mark.parametrize("url", ["file://claims", "file:claims", "/claims", "claims", "x://y"])
def test_a_url_that_names_no_store_is_a_mistake_in_the_settings(url: str) -> None:
    with pytest.raises(UsageError, match=r"store\.url"):
        Objects(url, {}, make=True)


@pytest.mark.parametrize("options", [{"nope": "1"}, {"aws_allow_http": "perhaps"}])
def test_options_that_are_wrong_are_told_without_their_values(options: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"store\.options") as told:
        Objects("s3://bucket", {"secret_access_key": "SECRET-MARKER", **options})
    assert "SECRET-MARKER" not in str(told.value)


def test_a_store_that_does_not_answer_fails_after_some_tries_and_tells_no_address(
    monkeypatch: pytest.MonkeyPatch, bucket: Bucket
) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.001)
    options = {**bucket.store["options"], "endpoint": "http://127.0.0.1:9", "timeout": "1s"}
    store = Objects("s3://bucket/x", options)
    asks: list[Any] = [
        lambda: store.put("a", b"1", "image/png"),
        lambda: store.get("a", 1),
        lambda: store.remove("a"),
    ]
    for ask in asks:
        with pytest.raises(StoreFailedError) as told:
            asyncio.run(ask())
        assert "127.0.0.1" not in str(told.value)


def test_inputs_are_read_from_another_bucket_with_its_own_options(
    bucket: Bucket, tmp_path: Path
) -> None:
    own = StoreSettings(url=tmp_path.as_uri())
    asyncio.run(Objects(**bucket.store).put("in/a b.png", DATA, "image/png"))
    settings = own.model_copy(
        update={"inputs": (InputStore(url="s3://bucket/claims/in", **_options(bucket)),)}
    )
    ref = DataRef(
        "s3://bucket/claims/in/a%20b.png", len(DATA), hashlib.sha256(DATA).hexdigest(), ""
    )
    assert asyncio.run(DataReader(settings).read(ref)) == DATA
    with pytest.raises(DataRefError, match="not allowed"):
        asyncio.run(DataReader(own).read(ref))


def _options(bucket: Bucket) -> dict[str, Any]:
    return {"options": bucket.store["options"]}


def test_remains_of_cut_writes_are_removed_when_they_are_old(tmp_path: Path) -> None:
    store = own_objects(StoreSettings(url=tmp_path.as_uri()))
    folder = tmp_path / "c" / "llm"
    folder.mkdir(parents=True)
    for name in ("a.png#1", "b.png#2", "c.png"):
        (folder / name).write_bytes(b"x")
    os.utime(folder / "a.png#1", (1, 1))
    os.utime(folder / "c.png", (1, 1))
    assert store.remove_staged("c/llm", 1_000.0) == 1
    assert sorted(path.name for path in folder.iterdir()) == ["b.png#2", "c.png"]


def test_the_least_bound_leaves_room_for_an_hour_clocks_and_the_longest_write() -> None:
    assert HOUR_S + PUT_S + SKEW_S < SHORTEST_S
