"""A call that hangs at the base while more is done past it than a commit can say."""

import time
from bisect import bisect_right
from pathlib import Path

import psutil
from confluent_kafka import Message

from broker.core.bitmap import CAPACITY
from broker.core.offsets import PAUSE_AT, RESUME_AT
from broker.log.embedded import Running
from broker.log.topic_names import TopicNames
from broker.story.log_reader import LogReader
from tests.faults.deployment import wait_until
from tests.faults.rig import TOPICS, Rig, fault_settings, rigged

PAUSES_FROM, PAUSES_AT = int(CAPACITY * RESUME_AT), int(CAPACITY * PAUSE_AT)
"""A partition that was paused for its lane's backlog goes on only below the first."""
SENT = PAUSES_AT + 3_000
FETCHED_AHEAD = 1_500
"""Records that one poll may still bring once the pause is due."""
MOST_BYTES = 300 * 1024 * 1024
STEADY_S = 3.0


def test_a_full_window_pauses_its_partition_and_goes_on_when_the_call_ends(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    # Four partitions: one for each lane, so that all light prompts are in one.
    settings = fault_settings(
        kafka.bootstrap, prefix, topics={**TOPICS, "work": 4}, simulator={"fast": True}
    )
    azure = settings.providers["azure"].model_copy(update={"first_byte_s": 120.0})
    with rigged(settings.model_copy(update={"providers": {"azure": azure}}), tmp_path) as rig:
        simulator = rig.deployment.simulator
        simulator.set_faults("azure", {"hangs": 1.0})
        (first,) = rig.traffic.burst(1, max_output_tokens=2)
        wait_until(lambda: simulator.served()["azure"]["open"] == 1, 20, "the call hangs")
        simulator.clear_faults()
        rig.traffic.burst(SENT, prompt="Why?", max_output_tokens=2)
        reach = _reach_once_steady(rig, first)
        assert reach <= PAUSES_AT + FETCHED_AHEAD, reach
        assert not rig.answers.of(first)
        worker = psutil.Process(rig.deployment.members["worker-azure-0"].pid)
        assert worker.memory_info().rss < MOST_BYTES
        # The hanging call ends with its connection; it is tried again.
        rig.deployment.kill("simulator")
        rig.deployment.start("simulator")
        wait_until(
            lambda: set(rig.traffic.accepted) <= rig.answers.ids(), 60, "everything is answered"
        )
        rig.expect_exactly_once()


def _reach_once_steady(rig: Rig, hanging: str) -> int:
    """How many offsets past the hanging call's the worker has come once it comes no further.

    It is counted up to the next record: the window is of offsets, and the markers of the
    classifier's transactions have some of them.
    """
    offsets: dict[str, int] = {}

    def all_is_routed() -> bool:
        offsets.update(_routed(rig))
        return len(offsets) == SENT + 1

    wait_until(all_is_routed, 60, "the classifier has routed everything")
    places = sorted(offsets.values())
    last, since, reach = -1, time.monotonic(), 0

    def steady() -> bool:
        nonlocal last, since, reach
        answered = rig.answers.ids()
        if len(answered) != last:
            last, since = len(answered), time.monotonic()
        furthest = max((offsets[identity] for identity in answered), default=offsets[hanging])
        assert furthest < places[-1], "the partition was read to its end"
        reach = places[bisect_right(places, furthest)] - offsets[hanging]
        # A busy machine may rest before it is time: it has to come so far at least.
        return reach >= PAUSES_FROM and time.monotonic() - since > STEADY_S

    wait_until(steady, 90, lambda: f"the partition pauses; it has come {reach} offsets far")
    return reach


def _routed(rig: Rig) -> dict[str, int]:
    with LogReader(rig.deployment.settings) as reader:
        names = TopicNames(rig.deployment.settings.kafka.prefix)
        spans = reader.spans(names.work("azure"), settled=True)
        return dict(_placed(message) for batch in reader.read(spans) for message in batch)


def _placed(message: Message) -> tuple[str, int]:
    key, offset = message.key(), message.offset()
    assert isinstance(key, bytes)
    assert offset is not None
    return key.decode(), offset
