"""A classifier that learns from the journal of a real broker, dies at it, and knows it again."""

import signal
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from broker.classifier.learning import read_call
from broker.core.output_length import Answered, OutputLengths
from broker.log.clients import admin_config, producer_config
from broker.log.embedded import Running
from broker.log.topics import apply_topics
from broker.records.calls import CallEvent, encode_call
from broker.records.lane_change import LaneChange, decode_lane_change
from broker.records.work import Work, decode_work
from broker.settings import Settings, load_settings
from broker.supervisor.ports import free_ports
from tests.faults.deployment import Member, deployed, variables, wait_until
from tests.system.conversation import Conversation

TOPICS = {"prompts": 4, "work": 4, "completions": 2, "calls": 1, "chunks": 1, "dead_letters": 1}
WITHIN_S = 60.0
TEXT = "Why is the sky blue, and the sea?"


def settings_of(kafka: Running, prefix: str, **more: Any) -> Settings:
    return load_settings(
        kafka={"bootstrap": kafka.bootstrap, "prefix": prefix, "session_timeout_s": 6.0},
        topics=TOPICS,
        models={"chat-small": {"default": True}},
        providers={"azure": {"models": {"chat-small": "m"}}},
        **more,
    )


class Scene:
    """Classifiers, a journal that the test writes as workers would, and what comes of prompts."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        apply_topics(settings, admin_config(settings))
        self.settings, self.folder = settings, folder
        self.talk = Conversation(settings)
        self.members: list[Member] = []
        self._producer = Producer(producer_config(settings))
        self._asked = 0

    def classifier(self, slot: int = 0) -> Member:
        (port,) = free_ports(1)
        environment = {**variables(self.settings), "WEIGHBRIDGE_OPS__PORT": str(port)}
        made = Member(
            f"classifier-{slot}",
            ("classifier", "--slot", str(slot)),
            port,
            "/readyz",
            environment,
            self.folder / f"classifier-{slot}.log",
        )
        self.members.append(made)
        return made

    def start(self, member: Member) -> None:
        member.start()
        wait_until(lambda: member.ready, WITHIN_S, member.last_lines)

    def journal(self, calls: Sequence[CallEvent]) -> None:
        for call in calls:
            self._producer.produce(self.talk.topics.calls, encode_call(call), call.id.encode())
        assert self._producer.flush(30) == 0

    def work(self, tenant: str, **fields: Any) -> Work:
        """What the classifier makes of a new prompt of this tenant."""
        self._asked += 1
        identity = f"q{self._asked}"
        self.talk.ask(id=identity, tenant=tenant, prompt=TEXT, **fields)
        wait_until(lambda: bool(self.talk.work_of(identity)), WITHIN_S, f"no work of {identity}")
        return decode_work(self.talk.work_of(identity)[0].value)

    def end(self) -> None:
        self.talk.close()
        for member in self.members:
            if member.runs:
                member.signal(signal.SIGKILL)
                assert member.process is not None
                member.process.wait(WITHIN_S)


@pytest.fixture
def scene(kafka: Running, prefix: str, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(settings_of(kafka, prefix), tmp_path)
    yield made
    made.end()


def ended(number: int, tokens: int, tenant: str = "acme", **more: Any) -> CallEvent:
    made = CallEvent(
        f"c{number}",
        tenant,
        "azure",
        "chat-small",
        1,
        "ended",
        round(time.time(), 3),
        outcome="ok",
        output_tokens=tokens,
        kind="chat",
        weighed_input_tokens=16,
    )
    return replace(made, **more)


def metric(member: Member, name: str, **labels: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{member.port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    raise AssertionError(f"no {name} {labels}")


def learned(member: Member) -> int:
    return round(metric(member, "weighbridge_answers_learned_total"))


def test_a_later_prompt_of_a_tenant_is_weighed_by_the_answers_it_got(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    simulator = {"fast": True, "answer_tokens": 700, "answer_spread": 0.05}
    settings = settings_of(kafka, prefix, simulator=simulator)
    talk = Conversation(settings)
    with deployed(settings, tmp_path) as deployment:
        ids = {f"p{number}" for number in range(30)}
        for identity in sorted(ids):
            talk.ask(id=identity, tenant="acme", prompt=TEXT)
        outputs = [one.body["output_tokens"] for one in talk.completions(ids).values()]
        classifier = deployment.members["classifier-0"]
        wait_until(lambda: learned(classifier) >= 30, WITHIN_S, classifier.last_lines)
        talk.ask(id="later", tenant="acme", prompt=TEXT)
        talk.ask(id="short", tenant="acme", prompt=TEXT, max_tokens=5)
        talk.completions(["later", "short"])
        works = {name: decode_work(talk.work_of(name)[0].value) for name in ("later", "short")}
    later = works["later"]
    assert "answers to acme on chat-small" in later.weighed
    assert min(outputs) * 0.9 <= later.expected_output_tokens <= max(outputs) * 1.1
    assert later.weight == later.input_tokens + 4 * later.expected_output_tokens
    assert works["short"].expected_output_tokens == 5
    talk.close()


def test_killed_while_it_learns_a_classifier_comes_to_expect_the_same_from_the_log(
    scene: Scene,
) -> None:
    member = scene.classifier()
    scene.start(member)
    assert "prior" in scene.work("acme").weighed
    calls = [ended(number, 20 + number % 180) for number in range(3_000)]
    scene.journal(calls[:1_000])
    wait_until(lambda: learned(member) >= 1, WITHIN_S, member.last_lines)
    scene.journal(calls[1_000:])
    member.signal(signal.SIGKILL)
    assert member.process is not None
    member.process.wait(WITHIN_S)
    bad = [ended(1, 9_000, outcome="retry"), ended(2, 9_000, kind="image")]
    scene.journal([*bad, ended(3, 700, tenant="other")])
    scene.start(member)
    wait_until(lambda: learned(member) >= 3_001, WITHIN_S, member.last_lines)
    found = scene.work("acme")
    assert learned(member) == 3_001, "each once, and nothing that teaches nothing"
    given = scene.settings.lengths
    pure = OutputLengths(given.quantile, given.half_life_s, given.most_tenants)
    for call in calls:
        one = read_call(encode_call(call), time.time())
        assert isinstance(one, Answered)
        pure.learn(one)
    expected = pure.expected(
        ("acme", "chat-small", "chat"), found.input_tokens, None, 9, time.time()
    )
    assert found.expected_output_tokens == pytest.approx(expected.tokens, abs=1)
    assert "of 3,000 answers to acme" in found.weighed or "of 2,9" in found.weighed, found.weighed
    assert scene.work("unknown").expected_output_tokens > 100, "by its model's answers"
    assert scene.work("acme", n=3).expected_output_tokens == pytest.approx(
        3 * found.expected_output_tokens, abs=3
    )


def started(number: int, weight: int) -> CallEvent:
    at = round(time.time(), 3)
    return CallEvent(
        f"s{number}", "acme", "azure", "chat-small", 1, "started", at, lane="light", weight=weight
    )


def changes(scene: Scene) -> list[LaneChange]:
    topic = scene.talk.topics.control
    found = (decode_lane_change(one.value) for one in scene.talk.read(topic))
    return [one for one in found if one is not None]


def bounds(member: Member) -> tuple[float, float]:
    light, heavy = (
        metric(member, "weighbridge_lane_bound_tokens", bound=bound)
        for bound in ("light_max", "heavy_min")
    )
    return light, heavy


def test_lanes_follow_the_traffic_alike_in_every_classifier_and_in_one_that_comes_later(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    given = {"mode": "auto", "light_max": 1_000, "heavy_min": 4_000}
    scene = Scene(settings_of(kafka, prefix, lanes=given), tmp_path)
    try:
        first, second = scene.classifier(0), scene.classifier(1)
        scene.start(first)
        before = scene.work("acme", max_tokens=240)
        assert (before.weight, before.lane) == (before.input_tokens + 960, "light")
        assert bounds(first) == (1_000, 4_000)
        scene.journal([started(number, 100 + number % 50) for number in range(400)])
        wait_until(lambda: bool(changes(scene)), WITHIN_S, first.last_lines)
        wait_until(lambda: bounds(first) == (909, 3_636), WITHIN_S, first.last_lines)
        after = scene.work("acme", max_tokens=240)
        assert (after.weight, after.lane) == (before.weight, "medium")
        assert "light is up to 909, heavy from 3,636" in after.weighed
        placed = scene.talk.work_of(before.id)
        assert [decode_work(one.value).lane for one in placed] == ["light"], "it stays where it is"
        change = changes(scene)[0]
        assert (change.old_light_max, change.old_heavy_min) == (1_000, 4_000)
        assert change.why.startswith("light holds 100% of the work (should be 30%)")
        scene.start(second)
        wait_until(lambda: bounds(second) == bounds(first), WITHIN_S, second.last_lines)
        made = changes(scene)
        assert len(made) <= 2 + (made[-1].at - change.at) / 29, "at most one a minute by each"
        assert "lanes_changed" in first.log.read_text()
    finally:
        scene.end()
