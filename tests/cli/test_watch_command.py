"""`weighbridge watch` on a real broker: live, filtered, from the past, through an outage."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import orjson
import pytest
from confluent_kafka import Producer

from broker.log.clients import admin_config, producer_config
from broker.log.embedded import EmbeddedKafka
from broker.log.topics import apply_topics
from broker.records.completion import encode_completion
from broker.records.times import to_rfc3339
from broker.settings import Settings, load_settings
from broker.story.following import CompletionFollower
from tests.cli.running import run, started
from tests.story.seeding import Seeder, completion_of, small

DEADLINE_S = 30.0


@pytest.fixture
def seeder(settings: Settings) -> Seeder:
    return Seeder(small(settings))


@contextmanager
def watching(
    settings: Settings, *arguments: str
) -> Iterator[tuple[subprocess.Popen[str], IO[str], IO[str]]]:
    """The command, standing at the end of the topic: what comes now it will show."""
    with started(settings, "watch", *arguments) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stderr.readline().startswith("Watching ")
        yield process, process.stdout, process.stderr


def write(seeder: Seeder, *identities: str, **given: object) -> None:
    for identity in identities:
        seeder.completion(completion_of(identity, time.time(), **given))  # type: ignore[arg-type]  # any field
    seeder.flush()


def test_what_comes_is_shown_and_what_was_there_is_not(seeder: Seeder) -> None:
    write(seeder, "old")
    with watching(seeder.settings, "--count", "3") as (process, out, _):
        write(seeder, "new-1", tenant="acme", text="One answer\nof two lines.")
        line = out.readline()
        write(seeder, "new-2", "new-3", "too-many")
        rest = out.read()
        assert process.wait(DEADLINE_S) == 0
    assert line.split()[1:] == ["succeeded", "new-1", "acme", "azure", "light", "800", "ms"]
    assert {row.split()[2] for row in rest.splitlines()} < {"new-2", "new-3", "too-many"}
    assert len(rest.splitlines()) == 2


def test_first_words_of_the_answer_or_of_the_error(seeder: Seeder) -> None:
    with watching(seeder.settings, "--text", "--count", "2") as (process, out, _):
        write(seeder, "good", text="One answer\nof \x1b[31mtwo lines. " + "And more. " * 50)
        good = out.readline()
        write(seeder, "bad", status="failed")
        bad = out.readline()
        assert process.wait(DEADLINE_S) == 0
    assert "One answer of \N{REPLACEMENT CHARACTER}[31mtwo lines. And more." in good
    assert good.endswith(" …\n")
    assert len(good) < 200
    assert bad.split()[1] == "failed"
    assert bad.rstrip().endswith("The provider failed.")


def test_json_is_the_record_itself(seeder: Seeder) -> None:
    with watching(seeder.settings, "--json", "--count", "1") as (process, out, _):
        write(seeder, "one", text="Why, because.")
        found = orjson.loads(out.readline())
        assert process.wait(DEADLINE_S) == 0
    assert (found["id"], found["text"], found["lane"]) == ("one", "Why, because.", "light")
    assert found["route"][0]["provider"] == "azure"


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (("--tenant", "acme"), {"a", "d"}),
        (("--provider", "google"), {"b"}),
        (("--lane", "heavy", "--lane", "medium"), {"a", "c"}),
        (("--status", "failed"), {"c"}),
        (("--id", "a", "--id", "b"), {"a", "b"}),
        (("--tenant", "acme", "--lane", "light"), {"d"}),
    ],
)
def test_filters_let_through_what_passes_all(
    seeder: Seeder, filters: tuple[str, ...], wanted: set[str]
) -> None:
    write(seeder, "a", tenant="acme", lane="heavy")
    write(seeder, "b", provider="google")
    write(seeder, "c", lane="medium", status="failed")
    write(seeder, "d", tenant="acme")
    ran = run(
        seeder.settings,
        *("watch", "--json", "--since", "1h", "--count", str(len(wanted)), *filters),
    )
    assert {line["id"] for line in ran.lines()} == wanted


def test_since_begins_in_the_past_and_goes_on(seeder: Seeder) -> None:
    write(seeder, "before")
    time.sleep(0.02)
    middle = to_rfc3339(time.time())
    time.sleep(0.02)
    write(seeder, "after")
    with watching(seeder.settings, "--since", middle, "--count", "2") as (process, out, _):
        assert out.readline().split()[2] == "after"
        write(seeder, "now")
        assert out.readline().split()[2] == "now"
        assert process.wait(DEADLINE_S) == 0


def test_what_is_not_committed_is_not_shown(seeder: Seeder) -> None:
    name = f"{seeder.settings.kafka.prefix}-test"
    producer = Producer(producer_config(seeder.settings, **{"transactional.id": name}))
    producer.init_transactions(30)
    with watching(seeder.settings, "--count", "2") as (process, out, _):
        for identity, end in (
            ("aborted", producer.abort_transaction),
            ("committed", producer.commit_transaction),
        ):
            producer.begin_transaction()
            value = encode_completion(completion_of(identity, time.time()))
            producer.produce(seeder.topics.completions, value, partition=0)
            producer.flush(30)
            end(30)
        write(seeder, "last")
        assert process.wait(DEADLINE_S) == 0
        assert {row.split()[2] for row in out.read().splitlines()} == {"committed", "last"}


def test_ctrl_c_ends_it_quietly(seeder: Seeder) -> None:
    with watching(seeder.settings) as (process, out, err):
        process.send_signal(signal.SIGINT)
        assert process.wait(DEADLINE_S) == 0
        assert out.read() == ""
        assert err.read() == ""


def test_a_reader_that_went_away_ends_it_quietly(seeder: Seeder) -> None:
    with watching(seeder.settings) as (process, out, err):
        out.close()
        write(seeder, "unread")
        assert process.wait(DEADLINE_S) == 0
        assert err.read() == ""


def test_a_foreign_record_is_told_once_and_passed(seeder: Seeder) -> None:
    with watching(seeder.settings, "--count", "1") as (process, out, err):
        for _ in range(3):
            seeder.write(seeder.topics.completions, b"not ours", 0)
        seeder.flush()
        assert "not in the contract's form" in err.readline()
        write(seeder, "ours")
        assert out.readline().split()[2] == "ours"
        assert process.wait(DEADLINE_S) == 0
        assert err.read() == ""


def test_a_topic_that_grows_is_followed_into_its_new_partitions(settings: Settings) -> None:
    made = small(settings)
    with CompletionFollower(made) as follower:
        grown = made.model_copy(
            update={"topics": made.topics.model_copy(update={"completions": 3})}
        )
        apply_topics(grown, admin_config(grown))
        seeder = Seeder(grown)
        seeder.completion(completion_of("ab", time.time()))  # to partition 2: its length in 3
        seeder.flush()
        follower._looked = 0.0  # noqa: SLF001 - else it looks in half a minute
        found: list[str] = []
        ends = time.monotonic() + DEADLINE_S
        while not found and time.monotonic() < ends:
            found = [one.completion.id for one in follower.poll(0.1)]
    assert found == ["ab"]


def test_an_outage_is_told_and_outlasted(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path / "kafka", profile="short", owned=True)
    try:
        running = broker.start(120)
        seeder = Seeder(small(load_settings(kafka={"bootstrap": running.bootstrap})))
        with watching(seeder.settings, "--count", "2") as (process, out, err):
            write(seeder, "before")
            assert out.readline().split()[2] == "before"
            broker.stop()
            assert "does not answer" in err.readline()
            assert broker.start(120).bootstrap == running.bootstrap
            assert "answers again" in err.readline()
            write(seeder, "afterwards")
            assert out.readline().split()[2] == "afterwards"
            assert process.wait(DEADLINE_S) == 0
            assert err.read() == ""
    finally:
        broker.stop()


def test_nothing_to_watch(settings: Settings) -> None:
    assert "topics apply" in run(settings, "watch", expect=3).err
    assert "RFC 3339" in run(settings, "watch", "--since", "yesterday", expect=2).err
    assert "light, medium" in run(settings, "watch", "--lane", "fast", expect=2).err
    assert "succeeded" in run(settings, "watch", "--status", "good", expect=2).err
