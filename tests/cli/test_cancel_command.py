"""`weighbridge cancel` where nobody follows: what is written, and what is said of each id."""

import time

import pytest

from broker.records.control import decode_control
from broker.settings import Settings
from broker.story.log_reader import LogReader
from tests.cli.running import run
from tests.story.seeding import Seeder, completion_of, small


@pytest.fixture
def seeder(settings: Settings) -> Seeder:
    return Seeder(small(settings))


def test_what_is_on_its_way_is_told_after_a_bounded_wait(seeder: Seeder) -> None:
    seeder.prompt("waits")
    seeder.prompt("done")
    seeder.flush()
    seeder.completion(completion_of("done", time.time(), status="failed"))
    seeder.flush()
    ids = ("waits", "done", "nobody", "waits")
    ran = run(seeder.settings, "cancel", *ids, "--wait", "4", "--by", "ann", "--json", expect=1)
    fates = {line["id"]: (line["fate"], line["status"]) for line in ran.lines()}
    assert fates == {
        "waits": ("unsettled", None),
        "done": ("completed", "failed"),
        "nobody": ("unknown", None),
    }
    assert "waits: it has no end yet after 4 s" in ran.err
    assert "nobody: no prompt has this id" in ran.err
    with LogReader(seeder.settings) as reader:
        read = [m for b in reader.read(reader.spans(seeder.topics.control)) for m in b]
    written = [decode_control(message.value()) for message in read]
    assert [one.id for one in written if one is not None] == ["waits", "done", "nobody"]
    assert {one.by for one in written if one is not None} == {"ann"}
    assert [message.key() for message in read] == [b"waits", b"done", b"nobody"]


def test_without_waiting_it_says_nothing_and_reads_nothing(seeder: Seeder) -> None:
    ran = run(seeder.settings, "cancel", "anything", "--no-wait")
    assert (ran.out, ran.err) == ("", "")
