"""`weighbridge dlt` on a real broker: what a user lists, reads and sends again."""

import subprocess
import time
from typing import Any

import orjson
import pytest
from confluent_kafka import Consumer, TopicPartition

from broker.core.dedupe import home_partition
from broker.log.clients import consumer_config
from broker.records.dead_letter import dead_letter_headers
from broker.records.incoming import Headers, InputRecord
from broker.settings import Settings
from tests.cli.running import COMMAND, environment, run
from tests.story.seeding import Seeder, completion_of, small

SHORT_WINDOW: dict[str, Any] = {"WEIGHBRIDGE_DEDUPE__WINDOW_S": "0.001"}


@pytest.fixture
def seeder(settings: Settings) -> Seeder:
    return Seeder(small(settings))


def letter(
    seeder: Seeder,
    value: bytes | None,
    *,
    at_home_of: str | None = None,
    key: bytes | None = None,
    headers: Headers = (),
    error: str = "unknown_model",
    topic: str | None = None,
) -> str:
    """A prompt, and the dead letter the classifier makes of it; the letter's place."""
    partition = 0 if at_home_of is None else home_partition(at_home_of, 2)
    handle = seeder.raw(value, partition, key=key, headers=headers)
    seeder.flush()
    where, offset = seeder.place(handle)
    now = time.time()
    place = InputRecord(topic or seeder.topics.prompts, where, offset, now, None, None)
    ours = dead_letter_headers(
        place, stage="classifier", error=error, message="Not served: \x1b[2J.", attempt=0, at=now
    )
    made = seeder.write(seeder.topics.dead_letters, value, 0, key=key, headers=(*ours, *headers))
    seeder.flush()
    return "-".join(map(str, seeder.place(made)))


def record_at(seeder: Seeder, partition: int, offset: int) -> Any:
    consumer = Consumer(consumer_config(seeder.settings, **{"group.id": "test-look"}))
    try:
        consumer.assign([TopicPartition(seeder.topics.prompts, partition, offset)])
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                assert message.offset() == offset
                return message
    finally:
        consumer.close()
    raise AssertionError("no record")


def test_list_names_places_reasons_and_ids_and_shows_no_prompt(seeder: Seeder) -> None:
    first = letter(seeder, b'{"prompt": "secret", "id": "a1"}', at_home_of="a1")
    letter(seeder, b"\xff\xfe", error="invalid_utf8")
    newest = letter(seeder, b'{"prompt": ', error="invalid_json")
    told = run(seeder.settings, "dlt", "list").out
    assert "secret" not in told
    assert "\x1b" not in told
    assert [line.split()[0] for line in told.splitlines()] == ["0-0", "0-1", "0-2"]
    found = run(seeder.settings, "dlt", "list", "--json").lines()
    assert found[0] | {"at": ""} == {
        "letter": first,
        "at": "",
        "topic": seeder.topics.prompts,
        "partition": home_partition("a1", 2),
        "offset": 0,
        "stage": "classifier",
        "error": "unknown_model",
        "message": "Not served: \x1b[2J.",
        "attempt": "0",
        "id": "a1",
        "bytes": 32,
    }
    assert found[1]["id"] == f"{found[1]['partition']}-{found[1]['offset']}"
    one = run(seeder.settings, "dlt", "list", "--json", "--limit", "1").lines()
    assert [row["letter"] for row in one] == [newest]
    broken = run(seeder.settings, "dlt", "list", "--json", "--error", "invalid_utf8").lines()
    assert [row["error"] for row in broken] == ["invalid_utf8"]
    assert run(seeder.settings, "dlt", "list", "--since", "2099-01-01T00:00:00Z").out == ""


def test_show_gives_the_headers_and_the_exact_bytes(seeder: Seeder) -> None:
    headers = (("x-team", b"blue"), ("odd", b"\xff"))
    text = letter(seeder, b'{"prompt": "why \\u0007"}\x1b', headers=headers, key=b"k1")
    raw = letter(seeder, b"\xff\x00\x01", error="invalid_utf8")
    told = run(seeder.settings, "dlt", "show", text).out
    assert "header   x-team: blue" in told
    assert "header   odd: hexadecimal ff" in told
    assert '{"prompt": "why \\u0007"}\\x1b' in told
    assert "hexadecimal ff0001" in run(seeder.settings, "dlt", "show", raw).out
    found = run(seeder.settings, "dlt", "show", text, "--json").json()
    assert found["headers"] == [
        {"name": "x-team", "value": "blue"},
        {"name": "odd", "value_hex": "ff"},
    ]
    assert (found["key"], found["value"]) == ("k1", '{"prompt": "why \\u0007"}\x1b')
    exact = subprocess.run(
        [*COMMAND, "dlt", "show", raw, "--raw"],
        capture_output=True,
        timeout=60,
        check=True,
        env=environment(seeder.settings),
    )
    assert exact.stdout == b"\xff\x00\x01"


def test_replay_sends_the_original_key_bytes_and_headers_after_asking(seeder: Seeder) -> None:
    value = b'{ "prompt":"x",  "id":"a1" }'
    origin = (("weighbridge-origin", b"1-7"), ("weighbridge-accepted-at", b"2026-01-01T00:00:00Z"))
    place = letter(seeder, value, at_home_of="a1", key=b"own", headers=(("x", b"\xff"), *origin))
    refused = run(seeder.settings, "dlt", "replay", place, stdin="n\n", expect=1, **SHORT_WINDOW)
    assert "Nothing was sent" in refused.err
    assert run(seeder.settings, "dlt", "replay", place, expect=1, **SHORT_WINDOW).out == ""
    sent = run(
        *(seeder.settings, "dlt", "replay", place, "--json"), stdin="y\n", **SHORT_WINDOW
    ).json()
    assert (sent["topic"], sent["partition"]) == (seeder.topics.prompts, home_partition("a1", 2))
    assert sent["offset"] == 1, "what was refused was not sent"
    record = record_at(seeder, sent["partition"], sent["offset"])
    assert (record.key(), record.value(), record.headers()) == (b"own", value, [("x", b"\xff")])


def test_a_replay_that_would_be_dropped_as_a_duplicate_is_not_sent(seeder: Seeder) -> None:
    place = letter(seeder, b'{"prompt": "x", "id": "a1"}', at_home_of="a1", key=b"a1")
    free = letter(seeder, b'{"prompt": "no id"}')
    ran = run(seeder.settings, "dlt", "replay", "--all", "--yes", expect=1)
    assert f"{place} (a1) is not sent: its id would be dropped as a duplicate until 2" in ran.err
    assert ran.out.startswith(f"{free} is ")
    held = run(seeder.settings, "dlt", "replay", place, "--json", "--yes", expect=1).json()
    assert (held["letter"], held["offset"]) == (place, None)
    assert held["until"] > "2026"
    again = run(seeder.settings, "dlt", "replay", place, "--new-id", "--yes", "--json").json()
    assert again["new_id"].startswith("a1~")
    record = record_at(seeder, again["partition"], again["offset"])
    assert orjson.loads(record.value()) == {"prompt": "x", "id": again["new_id"]}
    assert record.key() == again["new_id"].encode()
    assert again["partition"] == home_partition(again["new_id"], 2)


def test_only_a_json_object_can_get_a_new_id(seeder: Seeder) -> None:
    text = letter(seeder, b"plain text", headers=(("ce_id", b"a1"),), at_home_of="a1")
    by_header = letter(seeder, b'{"prompt": "x"}', headers=(("ce_id", b"a2"),), at_home_of="a2")
    ran = run(
        *(seeder.settings, "dlt", "replay", text, by_header), "--new-id", "-y", "--json", expect=1
    )
    held, sent = ran.lines()
    assert held["letter"] == text
    assert "not a JSON object" in held["held"]
    record = record_at(seeder, sent["partition"], sent["offset"])
    assert record.headers() == [("ce_id", sent["new_id"].encode())]
    assert record.value() == b'{"prompt": "x"}'


def test_one_id_in_two_letters_goes_once(seeder: Seeder) -> None:
    for _ in range(2):
        letter(seeder, b'{"prompt": "x", "id": "a1"}', at_home_of="a1")
    ran = run(
        *(seeder.settings, "dlt", "replay", "--error", "unknown_model", "-y", "--json"),
        expect=1,
        **SHORT_WINDOW,
    )
    assert [row["held"] is None for row in ran.lines()] == [False, True], (
        "what is held is told first"
    )


def test_a_work_record_is_no_prompt_and_is_not_sent(seeder: Seeder) -> None:
    letter(seeder, b'{"id": "w1"}', topic=seeder.topics.work("azure"), error="bad_work_record")
    ran = run(seeder.settings, "dlt", "replay", "--all", "-y", expect=1)
    assert f"no prompt but a record of {seeder.topics.work('azure')}" in ran.err
    assert ran.out == ""


def test_a_letter_without_bytes_is_read_where_it_stood(seeder: Seeder) -> None:
    handle = seeder.raw(b"too long for the letters", 1)
    seeder.flush()
    partition, offset = seeder.place(handle)
    for number in (offset, offset + 1000):
        place = InputRecord(seeder.topics.prompts, partition, number, 0.0, None, None)
        headers = dead_letter_headers(
            place, stage="classifier", error="too_large", message="Long.", attempt=0, at=time.time()
        )
        seeder.write(seeder.topics.dead_letters, None, 0, headers=headers)
    seeder.flush()
    assert "too long for the letters" in run(seeder.settings, "dlt", "show", "0-0").out
    ran = run(seeder.settings, "dlt", "replay", "--all", "-y", "--json", expect=1)
    (sent,) = ran.lines()
    assert "1 had no bytes" in ran.err
    record = record_at(seeder, sent["partition"], sent["offset"])
    assert record.value() == b"too long for the letters"


def test_a_replay_after_the_window_is_answered_again_in_the_audit(seeder: Seeder) -> None:
    letter(seeder, b'{"prompt": "x", "id": "a1", "model": "none"}', at_home_of="a1")
    seeder.completion(completion_of("a1", time.time(), status="failed"))
    seeder.flush()
    run(seeder.settings, "dlt", "replay", "--all", "-y", **SHORT_WINDOW)
    seeder.completion(completion_of("a1", time.time()))
    seeder.flush()
    found = run(seeder.settings, "audit", "--json", **SHORT_WINDOW).json()
    assert (found["accepted"], found["duplicates"], found["dead_lettered"]) == (1, 0, 1)


def test_nothing_there_and_what_is_asked_wrongly(seeder: Seeder) -> None:
    assert "no dead letter" in run(seeder.settings, "dlt", "list").err
    assert run(seeder.settings, "dlt", "list", "--json").out == ""
    assert "0-5" in run(seeder.settings, "dlt", "show", "0-5", expect=1).err
    assert "PARTITION-OFFSET" in run(seeder.settings, "dlt", "show", "five", expect=2).err
    assert "--all" in run(seeder.settings, "dlt", "replay", expect=2).err
    assert "--all" in run(seeder.settings, "dlt", "replay", "0-1", "--all", expect=2).err
    assert "No dead letter matches" in run(seeder.settings, "dlt", "replay", "--all", "-y").err
    help_text = run(seeder.settings, "dlt", "replay", "--help").out
    assert "--new-id" in help_text
    assert "duplicate" in help_text


def test_topics_that_are_not_there(settings: Settings) -> None:
    assert "topics apply" in run(settings, "dlt", "list", expect=3).err
