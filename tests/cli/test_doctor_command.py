"""`weighbridge doctor` as a user runs it: with a broker, without one, with what goes wrong."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from broker.cli.examination.finding import examine, ok
from broker.log.clients import admin_config, producer_config
from broker.log.topic_names import TopicNames
from broker.log.topics import apply_topics
from broker.settings import Settings, load_settings
from broker.settings.loading import state_folder
from tests.cli.running import run
from tests.cli.serving import serving

WHOLE_S = 15.0
KEY = "sk-nobody-may-see-this"


def checks(settings: Settings, *arguments: str, **env: str) -> dict[str, dict[str, Any]]:
    """The findings by what was checked; the exit code agrees with them."""
    began = time.monotonic()
    ran = run(settings, "doctor", "--json", *arguments, expect=None, **env)
    assert time.monotonic() - began < WHOLE_S
    told = ran.json()
    problems = [check for check in told["checks"] if check["level"] == "problem"]
    assert told["well"] is not bool(problems)
    assert ran.code == (3 if problems else 0)
    assert all(check["mend"] for check in told["checks"] if check["level"] != "ok")
    assert KEY not in ran.out + ran.err
    return {check["check"]: check for check in told["checks"]}


def test_a_sound_cluster_without_readers_is_told_apart_from_one_where_prompts_wait(
    settings: Settings,
) -> None:
    apply_topics(settings, admin_config(settings))
    found = checks(settings)
    for name in ("settings", "python", "broker", "broker limits", "topics", "providers", "up"):
        assert found[name]["level"] == "ok", found[name]
    for name in ("classifier", "worker openai", "worker coreweave"):
        assert found[name]["level"] == "warning"
        assert "Nobody reads" in found[name]["text"]
    producer = Producer(producer_config(settings))
    for _ in range(3):
        producer.produce(TopicNames(settings.kafka.prefix).prompts, b"hello")
    assert producer.flush(30) == 0
    waiting = checks(settings)["classifier"]
    assert waiting["level"] == "problem"
    assert waiting["text"] == "Nobody reads: 3 records wait."
    assert "weighbridge up" in waiting["mend"]


def test_work_of_a_provider_that_was_taken_out_of_the_settings_is_a_problem(
    settings: Settings,
) -> None:
    topic = TopicNames(settings.kafka.prefix).work("former")
    admin = AdminClient(admin_config(settings))
    admin.create_topics([NewTopic(topic, 2, 1)])[topic].result(30)
    assert "worker former" not in checks(settings)
    producer = Producer(producer_config(settings))
    producer.produce(topic, b"{}")
    assert producer.flush(30) == 0
    found = checks(settings)["worker former"]
    assert (found["level"], found["text"]) == ("problem", "Not in the settings: 1 record waits.")
    assert "weighbridge worker former" in found["mend"]


def test_missing_and_spoilt_topics_are_told_with_the_command_that_mends(
    settings: Settings,
) -> None:
    missing = checks(settings)["topics"]
    assert missing["level"] == "problem"
    count, _, named = missing["text"].partition(" are not there: ")
    assert int(count) == named.count(f"{settings.kafka.prefix}.") > 10
    assert missing["mend"] == "Run `weighbridge topics apply`."
    apply_topics(settings, admin_config(settings))
    grown = checks(settings, WEIGHBRIDGE_TOPICS__CALLS="7")["topics"]
    assert grown["level"] == "warning"
    assert "the plan 7" in grown["text"]


def test_people_see_a_table_with_the_verdict_at_its_end(settings: Settings) -> None:
    ran = run(settings, "doctor", expect=3)
    assert "problem" in ran.out
    assert "Run `weighbridge topics apply`." in ran.out
    assert ran.out.strip().splitlines()[-1].startswith("1 to mend")


def test_no_broker_anywhere(settings: Settings) -> None:
    nowhere = load_settings()
    embedded = checks(nowhere)["embedded kafka"]
    assert embedded["level"] == "problem"
    assert "weighbridge up" in embedded["mend"]
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        refused = checks(nowhere, "--kafka", address)["broker"]
    assert f"{address} cannot be connected to" in refused["text"]
    unknown = checks(nowhere, "--kafka", "no-such-host.invalid:9092")["broker"]
    assert "no-such-host.invalid" in unknown["text"]
    assert checks(nowhere, "--kafka", settings.kafka.bootstrap)["broker"]["level"] == "ok"


def test_something_that_listens_and_never_answers_does_not_hold_it() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        found = checks(load_settings(), "--kafka", address)["broker"]
    assert "does not answer as a Kafka broker" in found["text"]
    assert "TLS" in found["mend"]


def test_keys_and_addresses_of_providers(settings: Settings) -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        models = {"chat-small": "their-name"}
        url = f"http://127.0.0.1:{port}/v1"
        providers = {
            "sound": {"base_url": url, "api_key": "env:SOUND_KEY", "models": models},
            "shown": {"base_url": url, "api_key": KEY, "models": models},
            "signed-in": {"base_url": url, "auth": "none", "models": models},
            "unset": {"base_url": "http://127.0.0.1:9/v1", "api_key": "env:NOT_SET"},
            "keyless": {"base_url": "https://no-such-host.invalid/v1"},
            "stood-in": {},
        }
        found = checks(settings, WEIGHBRIDGE_PROVIDERS=json.dumps(providers), SOUND_KEY=KEY)
    assert found["provider sound"]["level"] == found["key of sound"]["level"] == "ok"
    assert found["key of sound"]["text"] == "set by env:SOUND_KEY"
    assert "their-name" in found["settings of sound"]["text"]
    assert "costs is not known" in found["providers.sound.models.chat-small"]["text"]
    assert found["key of shown"]["level"] == "warning"
    assert found["key of signed-in"]["level"] == "ok"
    assert found["providers.keyless.models"]["level"] == "warning"
    assert "NOT_SET" in found["key of unset"]["text"]
    assert found["provider unset"]["level"] == "problem"
    assert found["key of keyless"]["level"] == "warning"
    assert "no-such-host.invalid is not known" in found["provider keyless"]["text"]
    assert found["providers"]["text"] == "the simulator stands in for stood-in"


def test_a_table_of_prices_that_cannot_be_used_is_a_problem() -> None:
    found = checks(load_settings(), WEIGHBRIDGE_PRICES__FILE="none.toml")
    assert found["prices"]["level"] == "problem"
    assert "none.toml" in found["prices"]["text"]


def test_wrong_settings_are_a_finding_and_the_rest_is_still_looked_at() -> None:
    found = checks(load_settings(), WEIGHBRIDGE_KAFKA__PREFX="x")
    assert found["settings"]["level"] == "problem"
    assert "prefx" in found["settings"]["text"]
    assert found["python"]["level"] == "ok"
    assert "broker" not in found


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        ready = self.path == "/readyz"
        self.send_response(200 if ready else 503)
        self.end_headers()
        self.wfile.write(b"ok\n" if ready else b"2 dedupe windows are being filled\n")

    def log_message(self, *_: object) -> None:
        """Quiet."""


def test_what_up_runs_here_is_asked_itself() -> None:
    note = state_folder() / "up.json"
    note.parent.mkdir(parents=True)
    with serving(_Answer) as url:
        children = {
            "worker-azure": {"pid": 1, "ready_url": f"{url}/readyz"},
            "classifier": {"pid": 1, "ready_url": f"{url}/busy"},
            "worker-gone": {"pid": 1, "ready_url": "http://127.0.0.1:9/readyz"},
        }
        told = {"pid": os.getpid(), "bootstrap": "x:1", "simulator": None, "children": children}
        note.write_text(json.dumps(told))
        found = checks(load_settings())
    assert found["up"]["level"] == found["worker-azure"]["level"] == "ok"
    assert "2 dedupe windows are being filled" in found["classifier"]["text"]
    assert "worker-gone.log" in found["worker-gone"]["mend"]
    note.write_text(json.dumps({**told, "pid": 2**22 - 1}))
    assert checks(load_settings())["up"]["level"] == "warning"
    note.write_text("{")
    assert checks(load_settings())["up"]["text"] == "does not run here"


def test_a_folder_that_cannot_be_written_is_told() -> None:
    found = checks(load_settings(), XDG_STATE_HOME="/proc/nowhere", XDG_DATA_HOME="/dev/null/x")
    assert found["data folder"]["level"] == "problem"
    assert "XDG_DATA_HOME" in found["data folder"]["mend"]
    del found["state folder"]


@pytest.mark.parametrize("hang_s", [60.0])
def test_an_examiner_that_hangs_leaves_what_it_has_found(hang_s: float) -> None:
    def hangs() -> Iterator[Any]:
        yield ok("first", "done")
        threading.Event().wait(hang_s)

    def fails() -> Iterator[Any]:
        raise RuntimeError(KEY)
        yield

    began = time.monotonic()
    found = examine({"slow": hangs, "odd": fails}, deadline_s=0.3)
    assert time.monotonic() - began < 5
    assert [(each.check, each.level) for each in found] == [
        ("first", "ok"),
        ("slow", "problem"),
        ("odd", "problem"),
    ]
    assert KEY not in str(found)
