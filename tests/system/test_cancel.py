"""`weighbridge cancel` on a real broker, as a user types it, at each stage of a prompt's way."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from broker.log.embedded import Running
from broker.log.topic_names import TopicNames
from broker.records.calls import CallEvent, decode_call
from broker.records.completion import Completion, decode_completion
from broker.story.log_reader import LogReader
from tests.cli.running import Ran, run, started
from tests.faults.deployment import variables, wait_until
from tests.quotas.pool import PROVIDER, Pool, pool

SLOTS = 2
SLOW = {"first_token_s": 120.0, "per_token_s": 0.0, "spread": 0.0}
QUICK = {"speed": 2_000.0}


@pytest.fixture
def given(kafka: Running, prefix: str, tmp_path: Path) -> Iterator[Pool]:
    """One worker with two slots, whose provider takes minutes for its first token."""
    provider = {"max_in_flight": SLOTS, "adaptive": False, "first_byte_s": 300.0}
    with pool(kafka.bootstrap, prefix, tmp_path, provider=provider, cloud=SLOW) as made:
        yield made


def command(given: Pool, *arguments: str, expect: int = 0) -> Ran:
    settings = given.deployment.settings
    return run(settings, *arguments, expect=expect, **variables(settings))


def cancel(given: Pool, *ids: str, expect: int = 0) -> dict[str, Any]:
    ran = command(given, "cancel", *ids, "--json", expect=expect)
    return {line["id"]: line for line in ran.lines()}


def completions(given: Pool) -> dict[str, Completion]:
    topic = TopicNames(given.deployment.settings.kafka.prefix).completions
    with LogReader(given.deployment.settings) as reader:
        read = [m for batch in reader.read(reader.spans(topic)) for m in batch]
    found = [decode_completion(message.value()) for message in read]
    assert len({one.id for one in found}) == len(found)
    return {one.id: one for one in found}


def journal(given: Pool, identity: str) -> list[CallEvent]:
    topic = TopicNames(given.deployment.settings.kafka.prefix).calls
    with LogReader(given.deployment.settings) as reader:
        read = [m for batch in reader.read(reader.spans(topic)) for m in batch]
    events = [decode_call(message.value()) for message in read]
    return [one for one in events if one.id == identity]


def running(given: Pool) -> list[str]:
    """Prompts with a call under way, by the journal."""
    topic = TopicNames(given.deployment.settings.kafka.prefix).calls
    open_calls: dict[str, int] = {}
    with LogReader(given.deployment.settings) as reader:
        for batch in reader.read(reader.spans(topic)):
            for message in batch:
                event = decode_call(message.value())
                step = 1 if event.event == "started" else -1
                open_calls[event.id] = open_calls.get(event.id, 0) + step
    return [identity for identity, count in open_calls.items() if count > 0]


def said(given: Pool, identity: str) -> Any:
    return command(given, "status", identity, "--json").json()


@pytest.mark.timeout(300)
def test_status_follows_prompts_and_a_cancel_ends_them_at_every_stage(given: Pool) -> None:
    given.give(4, name="p", max_output_tokens=300)
    wait_until(lambda: len(running(given)) == SLOTS, 60, "two calls are under way")
    runs = running(given)
    waits = next(one for one in ("p0", "p1", "p2", "p3") if one not in runs)
    status_tells_place_and_times(given, waits, runs[0])
    waiting_and_running_ones_end(given, waits, runs[0])
    one_that_no_classifier_has_seen_ends(given)
    one_that_is_answered_already_stays_so(given, waits)
    nobody_has_this_id(given)
    what_was_cancelled_while_its_worker_was_away_is_never_begun(given)
    found = completions(given)
    assert (found[waits].status, found[waits].calls) == ("cancelled", 0)
    assert (found[runs[0]].status, found[runs[0]].calls) == ("cancelled", 1)
    assert (found["q0"].status, found["q0"].provider) == ("cancelled", "")
    assert all(one.error is None or one.error.code == "cancelled" for one in found.values())


def status_tells_place_and_times(given: Pool, waits: str, runs: str) -> None:
    # Both are told by their worker, a second after it has them.
    wait_until(lambda: said(given, waits)["said_at"] is not None, 40, "its place is said")
    wait_until(lambda: said(given, runs)["said_at"] is not None, 40, "its end is said")
    found = said(given, waits)
    assert (found["state"], found["provider"], found["lane"]) == ("waiting", PROVIDER, "light")
    assert found["place"] in (0, 1)
    assert found["starts_at"][0] <= found["starts_at"][1] <= found["ends_at"][1]
    found = said(given, runs)
    assert (found["state"], found["calls"], found["place"]) == ("running", 1, None)
    assert found["since"] < found["ends_at"][1]


def waiting_and_running_ones_end(given: Pool, waits: str, runs: str) -> None:
    settings = given.deployment.settings
    with started(settings, "status", waits, "--watch", **variables(settings)) as process:
        assert process.stdout is not None
        assert "waiting in" in process.stdout.readline()
        ended = cancel(given, waits, runs)
        assert {one["fate"] for one in ended.values()} == {"cancelled"}
        wait_until(lambda: process.poll() is not None, 30, "it has followed it to its end")
        assert "cancelled by openai" in process.stdout.read()
    # Nobody waits for the journal's word of a call's end.
    wait_until(lambda: len(journal(given, runs)) > 1, 30, "the journal has the call's end")
    last = max(journal(given, runs), key=lambda one: one.at)
    assert (last.event, last.outcome, last.code) == ("ended", "stop", "cancelled")


def one_that_no_classifier_has_seen_ends(given: Pool) -> None:
    given.deployment.terminate("classifier-0")
    given.give(1, name="q")
    assert said(given, "q0")["state"] == "not_classified"
    assert command(given, "cancel", "q0", "--no-wait").out == ""
    given.deployment.start("classifier-0")
    wait_until(lambda: "q0" in completions(given), 60, "q0 is ended")


def one_that_is_answered_already_stays_so(given: Pool, waits: str) -> None:
    given.set_capacity(**QUICK)
    given.give(1, name="r")
    assert {one["fate"] for one in cancel(given, *running(given)).values()} == {"cancelled"}
    wait_until(lambda: "r0" in completions(given), 60, "r0 is answered")
    told = command(given, "cancel", "r0", waits)
    assert "r0  completed already: succeeded at " in told.out
    assert f"{waits}  completed already: cancelled at " in told.out


def nobody_has_this_id(given: Pool) -> None:
    ran = command(given, "cancel", "nobody", expect=1)
    assert ran.out == ""
    assert "no prompt has this id" in ran.err
    assert "No prompt can have the id" in command(given, "cancel", "no id", expect=2).err


def what_was_cancelled_while_its_worker_was_away_is_never_begun(given: Pool) -> None:
    worker = f"worker-{PROVIDER}-0"
    given.deployment.terminate(worker)
    given.give(4, name="s")
    assert command(given, "cancel", "s1", "s2", "--no-wait").err == ""
    given.deployment.start(worker)
    names = [f"s{n}" for n in range(4)]
    wait_until(lambda: set(names) <= set(completions(given)), 60, "all have ended")
    found = completions(given)
    assert [found[name].status == "cancelled" for name in names] == [False, True, True, False]
    assert not journal(given, "s1")
