"""`weighbridge doctor` and the stores: what they take, give and remove, and what is to be done."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from broker.cli.examination.finding import Finding, examine
from broker.cli.examination.store import FOLDER, REQUEST_S, store_examiners
from broker.settings import Settings, load_settings
from tests.cli.running import run
from tests.store.s3_server import Bucket, s3_server

SECRET = "secret-marker-0123456789"  # noqa: S105 - it is looked for where it must not be


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    with s3_server() as made:
        try:
            yield made
        finally:
            made.hangs = False


def given_by(bucket: Bucket, **more: Any) -> dict[str, Any]:
    store = bucket.store
    return {**store, "options": {**store["options"], "secret_access_key": SECRET, **more}}


def found(store: Mapping[str, Any]) -> dict[str, Finding]:
    findings = examine(store_examiners(load_settings(store=store)), deadline_s=30.0)
    assert SECRET not in repr(findings)
    assert all(one.mend for one in findings if one.level != "ok")
    return {one.check: one for one in findings}


def test_a_sound_store_is_tried_and_left_as_it_was(bucket: Bucket, tmp_path: Path) -> None:
    for store in (given_by(bucket), {"url": tmp_path.as_uri()}):
        told = found(store)["store"]
        assert told.level == "ok", told
        assert "gave it back and removed it" in told.text
    assert bucket.kept == {}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert bucket.keys == {"AKEY"}


def test_a_folder_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    told = found({"url": (tmp_path / "later").as_uri()})["store"]
    assert told.level == "ok"
    assert not (tmp_path / "later").exists()


@pytest.mark.parametrize(
    ("refuses", "level", "says", "mend"),
    [
        ({"PUT": 403}, "problem", "does not take", "credentials"),
        ({"PUT": 404}, "problem", "does not take", "Make the bucket"),
        ({"PUT": 500}, "problem", "does not take an object (HTTP 500)", "network"),
        ({"GET": 403}, "problem", "does not give back", "credentials"),
        ({"LIST": 403}, "warning", "list nothing", "credentials"),
        ({"DELETE": 403}, "warning", "remove nothing", "credentials"),
    ],
)
def test_what_it_will_not_do_is_named_with_what_mends_it(
    bucket: Bucket, refuses: dict[str, int], level: str, says: str, mend: str
) -> None:
    bucket.refuses = refuses
    told = found(given_by(bucket))["store"]
    assert told.level == level
    assert says in told.text
    assert told.text.startswith("s3://bucket/claims: ")
    assert mend in told.mend


def test_a_store_that_loses_or_spoils_what_it_took(bucket: Bucket) -> None:
    bucket.on_put = bucket.kept.pop  # type: ignore[assignment]  # what it returns is not used
    assert "lost" in found(given_by(bucket))["store"].text

    def spoil(name: str) -> None:
        bucket.kept[name].data = bucket.kept[name].data.upper()

    bucket.on_put = spoil
    told = found(given_by(bucket))["store"]
    assert told.level == "problem"
    assert "not what was written" in told.text


@pytest.mark.parametrize("more", [{}, {"timeout": "90s", "aws_connect_timeout": "90s"}])
def test_one_that_hangs_is_given_up_whatever_its_options_say(
    bucket: Bucket, more: dict[str, str]
) -> None:
    bucket.hangs = True
    told = found(given_by(bucket, **more))["store"]
    assert told.level == "problem"
    assert "does not take an object" in told.text
    assert f"{REQUEST_S:g} s" in told.text or "GenericError" in told.text


def test_nobody_listens_and_nothing_can_be_opened(tmp_path: Path) -> None:
    nobody = {"endpoint": "http://127.0.0.1:9", "allow_http": "true", "region": "here"}
    store = {"url": "s3://bucket", "options": {**nobody, "skip_signature": "true"}}
    told = found(store)["store"]
    assert (told.level, "network" in told.mend) == ("problem", True)
    file = tmp_path / "file"
    file.write_text("x")
    assert found({"url": file.as_uri()})["store"].level == "problem"
    assert found({"url": "nowhere://x"})["store"].level == "problem"


def test_each_store_of_inputs_is_looked_at_and_nothing_of_it_fetched(
    bucket: Bucket, tmp_path: Path
) -> None:
    there, gone = tmp_path / "there", tmp_path / "gone"
    there.mkdir()
    inputs = [there.as_uri(), gone.as_uri(), {**given_by(bucket), "url": "s3://bucket/in"}]
    own = {"url": tmp_path.as_uri(), "inputs": inputs}
    told = found(own)
    assert [one.level for one in told.values()] == ["ok", "ok", "problem", "ok"]
    assert "store.inputs.1.url" in told["store of inputs 2"].mend
    bucket.refuses = {"LIST": 403}
    assert "by name" in found(own)["store of inputs 3"].text
    bucket.refuses = {"LIST": 403, "HEAD": 403}
    denied = found(own)["store of inputs 3"]
    assert (denied.level, "may read" in denied.mend) == ("problem", True)
    bucket.refuses = {"LIST": 404}
    assert "Make the bucket" in found(own)["store of inputs 3"].mend
    assert bucket.kept == {}


def test_the_command_tells_of_it(settings: Settings, tmp_path: Path) -> None:
    checks = run(
        settings,
        *("doctor", "--json"),
        expect=None,
        WEIGHBRIDGE_STORE__URL=tmp_path.as_uri(),
        XDG_DATA_HOME=str(tmp_path / "data"),
    ).json()["checks"]
    (told,) = [one for one in checks if one["check"] == "store"]
    assert (told["level"], told["mend"]) == ("ok", "")
    assert {path.name for path in tmp_path.iterdir()} <= {FOLDER}
