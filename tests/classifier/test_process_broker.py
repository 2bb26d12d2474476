"""A classifier process on real topics: each prompt becomes one work record, through its ends."""

import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from broker.core.dedupe import home_partition
from broker.log.clients import admin_config, producer_config
from broker.log.committed_offsets import committed_positions
from broker.log.embedded import Running
from broker.log.topics import apply_topics
from broker.records.headers import ACCEPTED_AT, ORIGIN
from broker.records.times import from_rfc3339
from broker.records.work import decode_work
from broker.settings import Settings, load_settings
from broker.supervisor.ports import free_ports
from tests.faults.deployment import Member, variables, wait_until
from tests.system.conversation import Conversation, Found

PARTITIONS = 4
TOPICS = {"prompts": PARTITIONS, "work": 8, "completions": 4, "calls": 1, "chunks": 1,
          "dead_letters": 2}  # fmt: skip
WITHIN_S = 60.0
END_S = 40.0


class Bench:
    """One classifier, not started yet, and a conversation with its topics."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self.talk = Conversation(settings)
        (port,) = free_ports(1)
        environment = {**variables(settings), "WEIGHBRIDGE_OPS__PORT": str(port)}
        log = folder / "classifier.log"
        self.member = Member("classifier", ("classifier",), port, "/readyz", environment, log)
        self.topic = self.talk.topics.work("azure")

    def start(self) -> None:
        self.member.start()
        wait_until(lambda: self.member.ready, WITHIN_S, self.member.last_lines)

    def end(self, number: signal.Signals) -> int:
        self.member.signal(number)
        assert self.member.process is not None
        return self.member.process.wait(END_S)

    def work(self) -> list[Found]:
        return self.talk.read(self.topic)

    def ids(self) -> Counter[str]:
        return Counter(found.key.decode() for found in self.work() if found.key)

    def wait_for(self, ids: set[str]) -> None:
        def missing() -> str:
            return f"{sorted(ids - set(self.ids()))[:5]}\n{self.member.last_lines()}"

        wait_until(lambda: ids <= set(self.ids()), WITHIN_S, missing)

    def ask_many(self, first: int, last: int) -> set[str]:
        ids = {f"p-{number}" for number in range(first, last)}
        self.talk.write_many(
            (
                orjson.dumps({"id": identity, "prompt": "Why is the sky blue?"}),
                home_partition(identity, PARTITIONS),
            )
            for identity in sorted(ids)
        )
        return ids

    def committed(self) -> int:
        """Records of the prompts below the committed offsets."""
        topic = self.talk.topics.prompts
        places = [(topic, number) for number in range(PARTITIONS)]
        group = f"{self.settings.kafka.prefix}.classifier"
        found = committed_positions(producer_config(self.settings), group, places, 20.0)
        return sum(max(0, offset) for offset, _ in found.values())


@pytest.fixture
def bench(kafka: Running, prefix: str, tmp_path: Path) -> Iterator[Bench]:
    settings = load_settings(
        kafka={"bootstrap": kafka.bootstrap, "prefix": prefix, "session_timeout_s": 6.0},
        topics=TOPICS,
        models={"chat-small": {"default": True}},
        providers={"azure": {"models": {"chat-small": "m"}}},
    )
    apply_topics(settings, admin_config(settings))
    found = Bench(settings, tmp_path)
    yield found
    found.talk.close()
    if found.member.runs:
        found.end(signal.SIGKILL)


def test_killed_again_and_again_in_a_backlog_nothing_is_lost_doubled_or_its_own_duplicate(
    bench: Bench,
) -> None:
    ids = bench.ask_many(0, 12_000)
    for _ in range(3):
        bench.member.start()
        before = bench.committed()
        # On a busy machine it may be through with all of it before it is killed.
        more = min(before + 1, len(ids))
        wait_until(lambda: bench.committed() >= more, WITHIN_S, bench.member.last_lines)  # noqa: B023 - asked at once
        bench.end(signal.SIGKILL)
    assert bench.committed() < len(ids) or bench.ids(), "it was killed at work"
    bench.start()
    bench.wait_for(ids)
    again = bench.ask_many(11_000, 12_010)  # all but ten were asked before
    bench.wait_for(again)
    assert bench.ids() == Counter(ids | again)


def test_a_drained_classifier_ends_well_and_its_successor_remembers_what_it_saw(
    bench: Bench,
) -> None:
    ids = bench.ask_many(0, 500)
    bench.start()
    bench.wait_for(ids)
    assert bench.end(signal.SIGTERM) == 0, bench.member.last_lines()
    assert bench.committed() == 500
    bench.ask_many(0, 500)
    bench.start()
    bench.wait_for(bench.ask_many(500, 510))
    wait_until(lambda: bench.committed() >= 1_010, WITHIN_S, bench.member.last_lines)
    assert bench.ids() == Counter(ids | {f"p-{number}" for number in range(500, 510)})
    assert bench.end(signal.SIGTERM) == 0


def test_ids_that_arrive_anywhere_are_forwarded_home_once_with_their_origin(
    bench: Bench,
) -> None:
    bench.start()
    places = {}
    for number in range(40):
        identity = f"w-{number}"
        away = (home_partition(identity, PARTITIONS) + 1 + number % 3) % PARTITIONS
        value = orjson.dumps({"id": identity, "prompt": "Why?"})
        places[identity] = bench.talk.write(value, away, b"some key", (("x-own", b"\xff"),))
    bench.wait_for(set(places))
    assert set(bench.ids().values()) == {1}
    forwarded = [one for one in bench.talk.read(bench.talk.topics.prompts) if one.header(ORIGIN)]
    assert len(forwarded) == 40
    for one in forwarded:
        place = places[one.body["id"]]
        accepted = one.header(ACCEPTED_AT)
        assert accepted is not None
        assert one.partition == home_partition(one.body["id"], PARTITIONS)
        assert one.header(ORIGIN) == place.id.encode()
        assert round(from_rfc3339(accepted.decode()) * 1000) == place.accepted_ms
        assert (one.key, one.header("x-own")) == (b"some key", b"\xff")
    for found in bench.work():
        work = decode_work(found.value)
        assert round(work.accepted_at * 1000) == places[work.id].accepted_ms


def test_of_an_id_asked_everywhere_at_once_one_is_answered(bench: Bench) -> None:
    value = orjson.dumps({"id": "everywhere", "prompt": "Why?"})
    bench.talk.write_many((value, partition) for partition in (0, 1, 2, 3, 3, 2, 1, 0))
    bench.start()
    bench.wait_for({"everywhere"})
    bench.wait_for(bench.ask_many(0, 40))
    assert bench.ids()["everywhere"] == 1
