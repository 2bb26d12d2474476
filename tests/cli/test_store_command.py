"""`weighbridge store`: orphans go, and nothing that a record refers to or still may."""

import asyncio
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson
import pytest

from broker.records.completion import Completion
from broker.records.data_refs import DataRef, data_ref_of
from broker.settings import Settings
from broker.settings.sections import StoreSettings
from broker.store.claims import ClaimStore
from broker.store.reading import DataReader
from broker.story import store_sweep
from broker.story.store_sweep import deployment_folder, sweep
from tests.cli.running import run
from tests.story.seeding import Seeder, completion_of, small, step, work_of

DAY_S = 86_400.0


class Site:
    """Topics and a folder of one deployment; objects are as old as they are put."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        store = StoreSettings(url=folder.as_uri())
        self.settings = small(settings).model_copy(update={"store": store})
        self.seeder = Seeder(self.settings)
        self.root = folder
        self.folder = folder / deployment_folder(self.settings)

    def put(self, text: str, *, days: float, folder: Path | None = None) -> DataRef:
        place = str((folder or self.folder).relative_to(self.root))
        ref = asyncio.run(ClaimStore(self.settings.store, place).put(text.encode(), "image/png"))
        self.age(ref, days)
        return ref

    def age(self, ref: DataRef, days: float) -> None:
        at = time.time() - days * DAY_S
        os.utime(path_of(ref), (at, at))

    def gc(self, *arguments: str, expect: int = 0) -> Any:
        url = self.settings.store.url
        ran = run(
            self.settings,
            *("store", "gc", *arguments, "--json"),
            expect=expect,
            WEIGHBRIDGE_STORE__URL=url,
        )
        return ran.json() if expect == 0 else ran.err


@pytest.fixture
def site(settings: Settings, tmp_path: Path) -> Site:
    return Site(settings, tmp_path / "store")


def path_of(ref: DataRef) -> Path:
    return Path(ref.url.removeprefix("file://"))


def there(*refs: DataRef) -> list[bool]:
    return [path_of(ref).exists() for ref in refs]


def referring(identity: str, refs: Iterable[DataRef], **given: Any) -> Completion:
    body = {"created": 1, "data": [ref.as_json() for ref in refs]}
    return completion_of(identity, time.time(), kind="image", text=None, body=body, **given)


def test_only_old_objects_that_nobody_refers_to_are_removed(site: Site) -> None:
    shared, second, whole = (site.put(text, days=9) for text in ("shared", "second", "whole"))
    part = site.put("in a chat", days=9)
    image = {"type": "image_url", "image_url": part.as_json()}
    chat = {"choices": [{"message": {"content": None, "images": [image]}}]}
    orphan, other = site.put("orphan", days=3), site.put("other", days=2)
    young = site.put("young", days=0.5)
    site.seeder.completion(referring("a", [shared]))
    site.seeder.completion(referring("bb", [shared, second]))
    site.seeder.completion(completion_of("c", time.time(), text=None, data=whole))
    site.seeder.completion(completion_of("d", time.time(), body=chat))
    site.seeder.write(site.seeder.topics.completions, b'{"dataref', 0)
    site.seeder.flush()
    told = site.gc("--dry-run")
    assert sorted(told["objects"]) == sorted([orphan.url, other.url])
    assert (told["dry_run"], told["listed"], told["removed"]) == (True, 7, 2)
    assert (told["referenced"], told["kept"]) == (4, 1)
    assert all(there(shared, second, whole, orphan, other, young))
    assert site.gc("--older-than", "60h")["objects"] == [orphan.url]
    assert site.gc()["objects"] == [other.url]
    assert there(shared, second, whole, young, part, orphan, other) == [True] * 5 + [False] * 2
    assert site.gc()["removed"] == 0


def test_nothing_of_others_is_touched(site: Site) -> None:
    cluster = site.folder.parent
    beside = site.put("beside", days=9, folder=cluster / f"{site.folder.name}2")
    elsewhere = site.put("elsewhere", days=9, folder=site.root / "other-cluster" / "llm")
    ours = site.put("ours", days=9)
    notes = [site.root / "notes.txt", site.folder / "notes.txt", path_of(ours).with_suffix(".b.c")]
    for path in notes:
        path.write_bytes(b"mine")
        os.utime(path, (1, 1))
    told = site.gc()
    assert (told["objects"], told["others"]) == ([ours.url], 2)
    assert there(beside, elsewhere, ours) == [True, True, False]
    assert all(path.exists() for path in notes)


def test_an_object_of_work_that_is_still_to_be_done_is_kept_however_old_it_is(site: Site) -> None:
    # A broker that was away for days between an answer's write and its commit.
    before = site.put("before the work", days=9)
    site.seeder.prompt("a")
    site.seeder.work(work_of("a", time.time(), step("azure")))
    site.seeder.classified()
    after = site.put("after the work", days=-1)
    # The work record is as old as this test, so the bound is moved past the object instead.
    told = sweep_before(site, time.time() + 2 * DAY_S)
    assert told == {before.url}
    assert there(before, after) == [False, True]
    topic = site.seeder.topics.work("azure")
    site.seeder.commit(
        f"{site.settings.kafka.prefix}.worker.azure", topic, dict.fromkeys(range(4), 1)
    )
    assert sweep_before(site, time.time() + 2 * DAY_S) == {after.url}


def sweep_before(site: Site, before: float) -> set[str]:
    swept = sweep(site.settings, before=before, dry_run=False)
    return set(swept.as_json()["objects"])


def test_what_a_waiting_prompt_refers_to_is_kept(site: Site) -> None:
    first, second, gone = (site.put(text, days=9) for text in ("first", "second", "gone"))
    site.seeder.prompt("done", prompt=gone.as_json())
    site.seeder.classified()
    site.seeder.prompt("waits", prompt=first.as_json())
    fields = {"prompt": second.as_json()}
    site.seeder.work(work_of("at-work", time.time(), step("azure"), fields=fields))
    site.seeder.flush()
    assert site.gc()["objects"] == [gone.url]
    assert there(first, second) == [True, True]


def test_a_completion_whose_transaction_is_open_counts_when_it_is_committed(site: Site) -> None:
    committed, aborted = (site.put(text, days=9) for text in ("committed", "aborted"))
    site.seeder.open_transaction(referring("x", [aborted])).abort_transaction(30)
    transaction = site.seeder.open_transaction(referring("y", [committed]))
    transaction.commit_transaction(30)
    assert site.gc()["objects"] == [aborted.url]
    assert there(committed) == [True]


def test_an_object_that_is_written_again_while_the_log_is_read_is_kept(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    again, orphan = site.put("again", days=9), site.put("orphan", days=9)
    references = store_sweep._Log.references  # noqa: SLF001 - the moment between list and removal

    def meanwhile(log: Any) -> Any:
        site.age(again, 0)  # what a worker's write of the same bytes does
        return references(log)

    monkeypatch.setattr(store_sweep._Log, "references", meanwhile)  # noqa: SLF001 - as above
    assert sweep_before(site, time.time() - DAY_S) == {orphan.url}
    assert there(again, orphan) == [True, False]


def test_a_short_bound_is_refused_and_missing_topics_do_not_pass_for_no_references(
    site: Site, settings: Settings
) -> None:
    orphan = site.put("orphan", days=9)
    assert "at least 2h" in site.gc("--older-than", "90m", expect=2)
    assert "no time" in site.gc("--older-than", "soon", expect=2)
    nowhere = settings.model_copy(
        update={"kafka": settings.kafka.model_copy(update={"prefix": "nowhere"})}
    )
    url = site.settings.store.url
    ran = run(nowhere, "store", "gc", expect=3, WEIGHBRIDGE_STORE__URL=url)
    assert "topics apply" in ran.err
    assert there(orphan) == [True]


def test_the_list_and_the_sentences_for_a_person(site: Site) -> None:
    orphan, young = site.put("orphan", days=9), site.put("young", days=0)
    url = site.settings.store.url
    ran = run(site.settings, "store", "list", "--json", WEIGHBRIDGE_STORE__URL=url)
    assert {orjson.loads(line)["url"] for line in ran.out.splitlines()} == {orphan.url, young.url}
    ran = run(site.settings, "store", "list", WEIGHBRIDGE_STORE__URL=url)
    assert orphan.url in ran.out
    assert "2 objects, 11 bytes" in ran.err
    ran = run(site.settings, "store", "gc", WEIGHBRIDGE_STORE__URL=url)
    assert ran.out == f"{orphan.url}\n"
    assert "Removed: 1 of 2 objects (6 bytes)" in ran.err


def test_files_are_put_as_references_that_a_prompt_can_give(site: Site, tmp_path: Path) -> None:
    picture, text = tmp_path / "a.bin", tmp_path / "b.txt"
    picture.write_bytes(b"\x89PNG\r\n\x1a\n...")
    text.write_text("Why is the sky blue?")
    url = site.settings.store.url
    ran = run(site.settings, "store", "put", str(picture), str(text), WEIGHBRIDGE_STORE__URL=url)
    first, second = map(data_ref_of, ran.lines())
    assert (first.media_type, second.media_type) == ("image/png", "text/plain")
    assert path_of(first).parent.parent.parent == site.folder
    for ref, file in ((first, picture), (second, text)):
        assert asyncio.run(DataReader(site.settings.store).read(ref)) == file.read_bytes()
    (tmp_path / "empty").write_bytes(b"")
    for wrong in ("empty", "not-there"):
        ran = run(
            site.settings,
            *("store", "put", str(picture), str(tmp_path / wrong)),
            expect=2,
            WEIGHBRIDGE_STORE__URL=url,
        )
        assert "Nothing was put" in ran.err
