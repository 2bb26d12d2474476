"""`weighbridge trace` on a real broker: the story of each kind of prompt, and where it is told."""

import time
from typing import Any

import orjson
import pytest

from broker.core.dedupe import home_partition
from broker.records.control import Cancel, encode_cancel
from broker.records.dead_letter import dead_letter_headers
from broker.records.incoming import InputRecord
from broker.records.times import to_rfc3339
from broker.settings import Settings
from tests.cli.running import run
from tests.story.seeding import Seeder, call_of, completion_of, small, step, work_of


@pytest.fixture
def seeder(settings: Settings) -> Seeder:
    return Seeder(small(settings))


def trace(seeder: Seeder, identity: str, **env: Any) -> Any:
    return run(seeder.settings, "trace", identity, "--json", **env).json()


def names(story: Any) -> list[str]:
    return [event["event"] for event in story["events"]]


def test_the_whole_story_with_a_retry_a_move_and_a_repeated_call(seeder: Seeder) -> None:
    prompt = seeder.prompt("p1", model="chat-small", tenant="acme")
    seeder.prompt("another")
    seeder.flush()
    now = time.time()
    azure = step("azure", "azure is preferred and waits 0.1 s [ok]", now + 0.001)
    google = step("google", "azure is off", now + 0.5)
    first = seeder.work(work_of("p1", now, azure))
    seeder.work(work_of("another", now, azure))
    moved = seeder.work(work_of("p1", now, azure, google, attempt=2))
    start = seeder.call(call_of("p1", 1, now + 0.01))
    seeder.call(call_of("another", 1, now + 0.01))
    seeder.call(call_of("p1", 1, now + 0.2, ended=True, outcome="retry", http_status=429, ms=190))
    seeder.call(call_of("p1", 2, now + 0.3))
    seeder.call(call_of("p1", 2, now + 0.4, ended=True, outcome="move", http_status=503, ms=90))
    seeder.call(call_of("p1", 3, now + 0.6, provider="google"))
    seeder.call(call_of("p1", 3, now + 2.0, provider="google"))
    streamed = {"first_token_ms": 120, "per_token_ms": 9.8125, "cost_usd": 0.000123}
    seeder.call(call_of("p1", 3, now + 2.5, ended=True, provider="google", **streamed))
    ended = seeder.completion(completion_of("p1", now, 2600.0, provider="google", calls=3))
    seeder.completion(completion_of("another", now))
    seeder.flush()
    story = trace(seeder, "p1")
    assert names(story) == [
        *("accepted", "weighed", "routed", "call_started", "call_ended", "call_started"),
        *("call_ended", "moved", "call_started", "call_started", "call_ended", "completed"),
    ]
    assert (story["id"], story["state"], story["status"]) == ("p1", "completed", "succeeded")
    by = dict(zip(names(story), story["events"], strict=True))
    topics = seeder.topics
    for name, topic, handle in (
        ("accepted", topics.prompts, prompt),
        ("weighed", topics.work("azure"), first),
        ("routed", topics.work("azure"), first),
        ("moved", topics.work("google"), moved),
        ("completed", topics.completions, ended),
    ):
        place = (by[name]["topic"], by[name]["partition"], by[name]["offset"])
        assert place == (topic, *seeder.place(handle)), name
    assert story["events"][3]["offset"] == seeder.place(start)[1]
    weighed = {name: by["weighed"][name] for name in ("weight", "lane", "input_tokens")}
    assert weighed == {"weight": 1200, "lane": "light", "input_tokens": 6}
    assert by["accepted"]["tenant"] == "acme"
    assert by["routed"]["reason"] == "azure is preferred and waits 0.1 s [ok]"
    assert (by["moved"]["from"], by["moved"]["to"]) == ("azure", "google")
    started = [event for event in story["events"] if event["event"] == "call_started"]
    assert [one["repeated"] for one in started] == [False, False, False, True]
    assert [event["at"] for event in story["events"]] == sorted(
        event["at"] for event in story["events"]
    )
    told = run(seeder.settings, "trace", "p1").out
    assert "routed to azure: azure is preferred and waits 0.1 s [ok]" in told
    assert "moved from azure to google: azure is off" in told
    assert "call 1 of azure ended after 190 ms: retry, HTTP 429" in told
    assert "call 3 of google started again" in told
    assert "40 tokens out, the first after 120 ms, then 9.81 ms each" in told
    assert by["call_ended"]["per_token_ms"] == 9.8125
    assert "0.000123 USD" in by["call_ended"]["text"]
    assert f"{topics.completions} {'-'.join(map(str, seeder.place(ended)))}" in told
    assert "sky" not in told
    assert "Rayleigh" not in told


def test_a_prompt_sent_again_is_shown_as_dropped(seeder: Seeder) -> None:
    first = seeder.prompt("twice")
    seeder.flush()
    seeder.prompt("twice")
    seeder.completion(completion_of("twice", time.time()))
    seeder.flush()
    story = trace(seeder, "twice")
    assert names(story)[:2] == ["accepted", "duplicate"]
    assert story["events"][1]["of"] == seeder.place(first)[1]
    assert story["state"] == "completed"
    asked_twice = trace(seeder, "twice", WEIGHBRIDGE_DEDUPE__WINDOW_S="0.000001")
    assert names(asked_twice)[:2] == ["accepted", "accepted"]
    assert asked_twice["state"] != "completed"


def test_an_id_made_of_the_place_and_a_plain_text(seeder: Seeder) -> None:
    handle = seeder.raw(b"Why is the sky blue?", 1)
    seeder.flush()
    identity = "-".join(map(str, seeder.place(handle)))
    seeder.completion(completion_of(identity, time.time()))
    seeder.flush()
    assert names(trace(seeder, identity)) == ["accepted", "completed"]
    missing = run(seeder.settings, "trace", "1-99999", expect=1)
    assert "1-99999" in missing.err


def test_a_record_forwarded_home_is_one_story_from_its_first_acceptance(seeder: Seeder) -> None:
    away = seeder.prompt("wanderer", away=True)
    seeder.flush()
    origin = "-".join(map(str, seeder.place(away)))
    seeder.forwarded("wanderer", origin, to_rfc3339(time.time()))
    seeder.prompt("not-yet", away=True)
    seeder.completion(completion_of("wanderer", time.time()))
    seeder.flush()
    story = trace(seeder, "wanderer")
    assert names(story) == ["accepted", "forwarded", "completed"]
    assert story["events"][0]["partition"] == seeder.place(away)[0]
    assert story["events"][1]["partition"] == home_partition("wanderer", 2)
    waiting = trace(seeder, "not-yet")
    assert names(waiting) == ["accepted"]
    assert waiting["state"] == "not taken up by the classifier yet"


def test_an_id_in_a_header_or_behind_escapes_is_found(seeder: Seeder) -> None:
    home = home_partition("by-header", 2)
    seeder.raw(b"plain text", home, headers=(("ce_id", b"by-header"),))
    home = home_partition("escaped", 2)
    seeder.raw(b'{"prompt": "x", "id": "\\u0065scaped"}', home)
    seeder.flush()
    assert names(trace(seeder, "by-header")) == ["accepted"]
    assert names(trace(seeder, "escaped")) == ["accepted"]


def test_a_rejected_prompt_ends_with_its_dead_letter(seeder: Seeder) -> None:
    bad = seeder.prompt("bad", model="nobody-serves-it")
    seeder.flush()
    partition, offset = seeder.place(bad)
    now = time.time()
    place = InputRecord(seeder.topics.prompts, partition, offset, now, None, None)
    headers = dead_letter_headers(
        place, stage="classifier", error="unknown_model", message="Not here.", attempt=0, at=now
    )
    value = orjson.dumps({"prompt": "x", "id": "bad", "model": "nobody-serves-it"})
    seeder.write(seeder.topics.dead_letters, value, 0, headers=headers)
    seeder.completion(completion_of("bad", now, 1.0, status="failed", provider="", lane=""))
    seeder.flush()
    story = trace(seeder, "bad")
    assert set(names(story)) == {"accepted", "completed", "dead_letter"}
    letter = next(one for one in story["events"] if one["event"] == "dead_letter")
    assert letter["origin"] == f"{seeder.topics.prompts} {partition}-{offset}"
    assert story["status"] == "failed"


def test_work_that_is_not_done_or_done_without_an_answer_is_told(seeder: Seeder) -> None:
    now = time.time()
    seeder.prompt("waits")
    seeder.prompt("gone")
    work = seeder.work(work_of("gone", now, step("azure", at=now)))
    seeder.work(work_of("waits", now, step("azure", at=now)))
    seeder.flush()
    partition, offset = seeder.place(work)
    group = f"{seeder.settings.kafka.prefix}.worker.azure"
    seeder.commit(group, seeder.topics.work("azure"), {partition: offset + 1})
    assert trace(seeder, "waits")["state"] == "at azure: its work is not done yet"
    assert trace(seeder, "gone")["state"].startswith("nowhere: azure has done its work")


def test_a_late_second_completion_is_told_when_all_is_read(seeder: Seeder) -> None:
    seeder.prompt("p1")
    seeder.flush()  # the broker's time of the prompt is now, and not when it comes to it
    seeder.completion(completion_of("p1", time.time()))
    seeder.completion(completion_of("p1", time.time(), 900.0))
    seeder.flush()
    whole = run(seeder.settings, "trace", "p1", "--whole", "--json").json()
    assert names(whole) == ["accepted", "completed", "completed"]


def test_a_cancel_is_told_with_who_asked(seeder: Seeder) -> None:
    seeder.prompt("p1")
    seeder.flush()
    asked = Cancel("p1", time.time(), "ann")
    handle = seeder.write(seeder.topics.control, encode_cancel(asked), 0, key=asked.key)
    seeder.write(seeder.topics.control, b"{", 0, key=asked.key)
    seeder.flush()
    seeder.completion(completion_of("p1", time.time(), 1.0, status="cancelled", calls=0))
    seeder.flush()
    story = trace(seeder, "p1")
    assert names(story) == ["accepted", "cancel_asked", "completed"]
    event = story["events"][1]
    assert (event["topic"], event["offset"]) == (seeder.topics.control, seeder.place(handle)[1])
    assert "to be cancelled, asked by ann" in run(seeder.settings, "trace", "p1").out


def test_an_unknown_id_is_one_sentence(seeder: Seeder) -> None:
    ran = run(seeder.settings, "trace", "nobody", expect=1)
    assert ran.out == ""
    assert "nobody" in ran.err
    assert len(ran.err.splitlines()) == 1
    odd = run(seeder.settings, "trace", "no id\udcff", expect=1)
    assert "No prompt can have the id" in odd.err
