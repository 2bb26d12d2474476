"""The sender on a real broker: home partitions, acknowledgements, and how it fails."""

import time
from pathlib import Path

import orjson
import pytest

from broker.core.dedupe import home_partition
from broker.load.replay import plan_replay, send_when_due
from broker.load.sender import DeliveryFailedError, PromptSender
from broker.log.embedded import EmbeddedKafka
from broker.log.topic_names import TopicNames
from broker.log.topic_plan import LARGEST_BYTES
from broker.records.errors import NotReadyError, UsageError
from broker.settings import Settings, load_settings
from broker.story.log_reader import LogReader
from tests.story.seeding import small


@pytest.fixture
def made(settings: Settings) -> Settings:
    return small(settings)


def written(settings: Settings) -> dict[str, tuple[int, int, bytes]]:
    """Every prompt in the log: partition, offset and value by key."""
    found = {}
    with LogReader(settings) as reader:
        for batch in reader.read(reader.spans(TopicNames(settings.kafka.prefix).prompts)):
            for message in batch:
                found[message.key().decode()] = (
                    message.partition(),
                    message.offset(),
                    message.value(),
                )
    return found


def test_each_id_goes_home_and_is_acknowledged_where_it_is(made: Settings) -> None:
    places: dict[str, tuple[int, int]] = {}

    def note(identity: str, partition: int, offset: int) -> None:
        places[identity] = (partition, offset)

    with PromptSender(made, on_acknowledged=note) as sender:
        for number in range(500):
            sender.send(f"p-{number}", {"prompt": f"Question {number}?"}, (("x-test", b"1"),))
        sender.flush(30)
        assert (sender.sent, sender.acknowledged, sender.in_flight) == (500, 500, 0)
    found = written(made)
    assert len(found) == 500
    for identity, (partition, offset, value) in found.items():
        assert partition == home_partition(identity, made.topics.prompts)
        assert places[identity] == (partition, offset)
        assert orjson.loads(value)["id"] == identity
    assert {partition for partition, _ in places.values()} == {0, 1}


def test_an_id_in_the_fields_does_not_win_over_the_given_one(made: Settings) -> None:
    with PromptSender(made) as sender:
        sender.send("given", {"id": "other", "prompt": "Which?"})
        sender.flush(30)
    assert orjson.loads(written(made)["given"][2]) == {"id": "given", "prompt": "Which?"}


def test_ten_thousand_for_a_second_of_cpu_within_the_bound_in_flight(made: Settings) -> None:
    most = 0
    with PromptSender(made, max_in_flight=2_000) as sender:
        value = orjson.dumps({"prompt": "Why is the sky blue? " * 20})
        sender.send_value("warm", value)
        sender.flush(30)
        began = time.process_time()  # of all threads: what neighbours take does not count
        for number in range(20_000):
            sender.send_value(f"p-{number}", value)
            most = max(most, sender.in_flight)
        sender.flush(30)
        seconds = time.process_time() - began
        assert sender.acknowledged == 20_001
    assert most <= 2_000
    assert seconds < 2.0, f"{20_000 / seconds:.0f} for a second"


def test_no_broker_and_no_topic_are_told_at_the_start(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotReadyError, match="is not there"):
        PromptSender(settings)
    monkeypatch.setattr("broker.load.sender._REQUEST_S", 2.0)
    nobody = load_settings(kafka={"bootstrap": "127.0.0.1:9"})
    with pytest.raises(NotReadyError, match=r"127\.0\.0\.1:9") as caught:
        PromptSender(nobody)
    assert caught.value.code == "kafka_unreachable"


def test_a_prompt_too_large_is_named_and_the_others_arrive(made: Settings) -> None:
    with PromptSender(made) as sender:
        sender.send("before", {"prompt": "small"})
        with pytest.raises(DeliveryFailedError, match=r"huge.*larger than the topic takes"):
            sender.send("huge", {"prompt": "x" * (3 * LARGEST_BYTES)})
        sender.send("large", {"prompt": "".join(map(str, range(LARGEST_BYTES // 4)))})
        with pytest.raises(DeliveryFailedError) as caught:
            sender.flush(30)
        assert caught.value.ids == ("large",)
        sender.send("after", {"prompt": "small"})
        sender.flush(30)
        assert sender.acknowledged == 2
    assert set(written(made)) == {"before", "after"}


def test_a_broker_that_goes_away_fails_in_time_with_the_ids(tmp_path: Path) -> None:
    broker = EmbeddedKafka(tmp_path, profile="short", owned=True)
    try:
        running = broker.start(120)
        made = small(load_settings(kafka={"bootstrap": running.bootstrap}))
        with PromptSender(made, delivery_s=3.0) as sender:
            sender.send("in-time", {"prompt": "Why?"})
            sender.flush(30)
            broker.stop()
            sender.send("late-1", {"prompt": "Why?"})
            sender.send("late-2", {"prompt": "Why?"})
            with pytest.raises(NotReadyError, match="2 prompts within 0 s"):
                sender.flush(0.2)
            with pytest.raises(DeliveryFailedError) as caught:
                sender.flush(30)
            assert caught.value.ids == ("late-1", "late-2")
            assert "in time" in caught.value.message
            sender.flush(1)
            assert (sender.sent, sender.acknowledged, sender.in_flight) == (3, 1, 0)
    finally:
        broker.stop()


def test_text_that_is_no_utf8_is_refused_by_its_id(made: Settings) -> None:
    with PromptSender(made) as sender, pytest.raises(UsageError, match="bad-text"):
        sender.send("bad-text", {"prompt": "half a pair: \ud800"})


def test_a_replay_goes_out_when_it_is_due_and_not_after_answers(made: Settings) -> None:
    plan = plan_replay(40, 40.0)
    sent_at: list[float] = []
    with PromptSender(made) as sender:
        began = time.monotonic()
        done = send_when_due(
            plan, sender, on_sent=lambda _: sent_at.append(time.monotonic() - began)
        )
        sender.flush(30)
    assert done.sent == 40
    assert 0.0 <= done.latest_s < 3.0
    for prompt, at in zip(plan, sent_at, strict=True):
        assert prompt.due_s <= at
    found = written(made)
    assert set(found) == {prompt.id for prompt in plan}
    assert orjson.loads(found[plan[0].id][2])["simulated_output_tokens"] == plan[0].output_tokens


def test_a_replay_can_be_ended_early(made: Settings) -> None:
    plan = plan_replay(40, 0.1)
    with PromptSender(made) as sender:
        began = time.monotonic()
        done = send_when_due(plan, sender, go_on=lambda: time.monotonic() - began < 0.3)
        sender.flush(30)
    assert time.monotonic() - began < 5.0
    assert 1 <= done.sent < 40
    assert len(written(made)) == done.sent
