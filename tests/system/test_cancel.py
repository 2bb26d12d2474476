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


def test_it_ends_at_every_stage_and_says_which_end_it_was(given: Pool) -> None:
    given.give(4, name="p")
    wait_until(lambda: len(running(given)) == SLOTS, 60, "two calls are under way")
    runs = running(given)
    waits = next(one for one in ("p0", "p1", "p2", "p3") if one not in runs)

    # Waiting in the worker's memory: no call was made for it.
    ended = cancel(given, waits)[waits]
    assert (ended["fate"], ended["status"]) == ("cancelled", "cancelled")

    # Running: the provider's server sees the connection go.
    ended = cancel(given, runs[0])[runs[0]]
    assert ended["fate"] == "cancelled"
    # Nobody waits for the journal's word of a call's end.
    wait_until(lambda: len(journal(given, runs[0])) > 1, 30, "the journal has the call's end")
    last = max(journal(given, runs[0]), key=lambda one: one.at)
    assert (last.event, last.outcome, last.code) == ("ended", "stop", "cancelled")

    # Not yet classified: it is ended as soon as a classifier comes.
    given.deployment.terminate("classifier-0")
    given.give(1, name="q")
    assert command(given, "cancel", "q0", "--no-wait").out == ""
    given.deployment.start("classifier-0")
    wait_until(lambda: "q0" in completions(given), 60, "q0 is ended")

    # Completed already: the cancel comes too late, and says so.
    given.set_capacity(**QUICK)
    given.give(1, name="r")
    assert {one["fate"] for one in cancel(given, *running(given)).values()} == {"cancelled"}
    wait_until(lambda: "r0" in completions(given), 60, "r0 is answered")
    ended = cancel(given, "r0")["r0"]
    assert (ended["fate"], ended["status"]) == ("completed", "succeeded")
    told = command(given, "cancel", "r0", waits)
    assert "r0  completed already: succeeded at " in told.out
    assert f"{waits}  completed already: cancelled at " in told.out

    # Nobody's id.
    ran = command(given, "cancel", "nobody", expect=1)
    assert ran.out == ""
    assert "no prompt has this id" in ran.err
    assert "No prompt can have the id" in command(given, "cancel", "no id", expect=2).err

    found = completions(given)
    assert (found[waits].status, found[waits].calls) == ("cancelled", 0)
    assert (found[runs[0]].status, found[runs[0]].calls) == ("cancelled", 1)
    assert (found["q0"].status, found["q0"].provider) == ("cancelled", "")
    assert all(one.error is None or one.error.code == "cancelled" for one in found.values())


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


def test_what_was_cancelled_while_its_worker_was_away_is_never_begun(given: Pool) -> None:
    given.deployment.terminate(f"worker-{PROVIDER}-0")
    given.give(6)
    assert command(given, "cancel", "p3", "p4", "--no-wait").err == ""
    given.set_capacity(**QUICK)
    given.deployment.start(f"worker-{PROVIDER}-0")
    wait_until(lambda: len(completions(given)) == 6, 60, "all have ended")
    statuses = {identity: one.status for identity, one in completions(given).items()}
    assert {one for one, status in statuses.items() if status == "cancelled"} == {"p3", "p4"}
    assert not journal(given, "p3")


def test_status_follows_a_prompt_from_its_wait_to_its_end(given: Pool) -> None:
    given.give(4, name="p", max_output_tokens=300)
    wait_until(lambda: len(running(given)) == SLOTS, 60, "two calls are under way")
    runs = running(given)
    waits = next(one for one in ("p0", "p1", "p2", "p3") if one not in runs)

    def said(identity: str) -> Any:
        return command(given, "status", identity, "--json").json()

    # Both are told by their worker, a second after it has them.
    wait_until(lambda: said(waits)["said_at"] is not None, 40, "the worker has said its place")
    wait_until(lambda: said(runs[0])["said_at"] is not None, 40, "the worker has said its end")
    found = said(waits)
    assert (found["state"], found["provider"], found["lane"]) == ("waiting", PROVIDER, "light")
    assert found["place"] in (0, 1)
    assert found["starts_at"][0] <= found["starts_at"][1] <= found["ends_at"][1]
    found = said(runs[0])
    assert (found["state"], found["calls"], found["place"]) == ("running", 1, None)
    assert found["since"] < found["ends_at"][1]
    settings = given.deployment.settings
    with started(settings, "status", waits, "--watch", **variables(settings)) as process:
        assert process.stdout is not None
        assert "waiting in" in process.stdout.readline()
        assert cancel(given, waits)[waits]["fate"] == "cancelled"
        wait_until(lambda: process.poll() is not None, 30, "it has followed it to its end")
        assert "cancelled by openai" in process.stdout.read()
