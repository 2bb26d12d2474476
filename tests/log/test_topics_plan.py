"""What every topic should be, and what would change: pure."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.log.topic_changes import ActualTopic, TopicChange, changes_between
from broker.log.topic_names import TopicNames
from broker.log.topic_plan import DAY_MS, HOUR_MS, LARGEST_BYTES, PlannedTopic, plan_topics
from broker.records.errors import UsageError
from broker.settings.sections import TopicSettings

NAMES = TopicNames("llm")
PROVIDERS = ("openai", "azure")


def planned(brokers: int = 1, replication: int | None = None) -> dict[str, PlannedTopic]:
    topics = plan_topics(
        NAMES, PROVIDERS, TopicSettings(), brokers=brokers, replication=replication
    )
    return {topic.name: topic for topic in topics}


def as_it_is(topic: PlannedTopic) -> ActualTopic:
    # A cluster names many more settings than ours.
    return ActualTopic(
        topic.name, topic.partitions, topic.replication, {**topic.config, "flush.ms": "1"}
    )


def changes(topic: PlannedTopic, there: ActualTopic) -> list[TopicChange]:
    return list(changes_between([topic], {there.name: there}))


def test_every_topic_of_the_architecture_is_planned() -> None:
    assert {name: topic.partitions for name, topic in planned().items()} == {
        "llm.prompts": 12,
        "llm.work.openai": 12,
        "llm.work.azure": 12,
        "llm.completions": 12,
        "llm.chunks": 6,
        "llm.calls": 6,
        "llm.providers": 1,
        "llm.control": 1,
        "llm.progress": 1,
        "llm.tenants": 1,
        "llm.tenant-totals": 1,
        "llm.prompts-dlt": 3,
    }


def test_they_are_kept_as_long_as_the_architecture_says() -> None:
    kept = {name: topic.config.get("retention.ms") for name, topic in planned().items()}
    week = str(7 * DAY_MS)
    assert kept["llm.prompts"] == kept["llm.work.azure"] == kept["llm.completions"] == week
    assert kept["llm.calls"] == week
    assert kept["llm.chunks"] == str(HOUR_MS)
    assert kept["llm.control"] == str(DAY_MS)
    assert kept["llm.prompts-dlt"] == str(30 * DAY_MS)
    assert planned()["llm.providers"].config["cleanup.policy"] == "compact"


def test_acceptance_can_neither_be_forged_nor_hide_a_huge_prompt() -> None:
    prompts = planned()["llm.prompts"].config
    assert prompts["message.timestamp.type"] == "LogAppendTime"
    assert prompts["compression.type"] == "uncompressed"


def test_a_prompt_at_its_limit_fits_into_what_is_made_of_it() -> None:
    limit = {name: int(topic.config["max.message.bytes"]) for name, topic in planned().items()}
    # JSON writes a control character in six bytes.
    assert limit["llm.work.azure"] > 6 * limit["llm.prompts"] + 100_000
    assert limit["llm.prompts-dlt"] > 6 * limit["llm.prompts"] + 100_000
    assert limit["llm.completions"] > 2 * limit["llm.prompts"] + 900_000
    assert max(limit.values()) == LARGEST_BYTES


@pytest.mark.parametrize(
    ("brokers", "asked", "replicas", "in_sync"),
    [(1, None, 1, "1"), (2, None, 2, "1"), (3, None, 3, "2"), (5, None, 3, "2"), (3, 1, 1, "1")],
)
def test_replicas_follow_the_cluster(
    brokers: int, asked: int | None, replicas: int, in_sync: str
) -> None:
    topic = planned(brokers, asked)["llm.prompts"]
    assert topic.replication == replicas
    assert topic.config["min.insync.replicas"] == in_sync


def test_more_replicas_than_brokers_are_refused() -> None:
    with pytest.raises(UsageError, match=r"kafka\.replication is 3"):
        planned(1, 3)


def test_fewer_partitions_than_lanes_are_refused() -> None:
    counts = TopicSettings.model_construct(work=3)
    with pytest.raises(UsageError, match="4 lanes"):
        plan_topics(NAMES, PROVIDERS, counts, brokers=1)


def test_nothing_changes_when_all_is_as_planned() -> None:
    plan = planned().values()
    assert changes_between(plan, {topic.name: as_it_is(topic) for topic in plan}) == ()


def test_what_is_missing_is_created() -> None:
    found = changes_between(planned().values(), {})
    assert [change.topic for change in found] == list(planned())
    assert {change.action for change in found} == {"create"}


def test_too_few_partitions_grow_and_the_cost_is_told() -> None:
    for name, cost in [("llm.prompts", "homes"), ("llm.work.azure", "lanes"), ("llm.calls", "")]:
        topic = planned()[name]
        (change,) = changes(topic, replace(as_it_is(topic), partitions=3))
        assert change.action == "grow"
        assert cost in change.reason


def test_too_many_partitions_are_kept_but_in_a_work_topic_refused_with_the_way_out() -> None:
    prompts, work = planned()["llm.prompts"], planned()["llm.work.azure"]
    (kept,) = changes(prompts, replace(as_it_is(prompts), partitions=16))
    assert kept.action == "keep"
    (refused,) = changes(work, replace(as_it_is(work), partitions=16))
    assert refused.action == "refuse"
    assert "no lane" in refused.reason
    assert "topics.work = 16" in refused.reason


@pytest.mark.parametrize(
    ("name", "there", "changed"),
    [
        ("retention.ms", str(DAY_MS), True),
        ("retention.ms", str(90 * DAY_MS), False),
        ("retention.ms", "-1", False),
        ("max.message.bytes", "1000", True),
        ("max.message.bytes", "99999999", False),
        ("cleanup.policy", "compact", True),
        ("message.timestamp.type", "CreateTime", True),
    ],
)
def test_settings_that_keep_less_are_mended_those_that_keep_more_are_left(
    name: str, there: str, *, changed: bool
) -> None:
    topic = planned()["llm.prompts"]
    actual = replace(as_it_is(topic), config={**topic.config, name: there})
    found = changes(topic, actual)
    assert [change.action for change in found] == (["configure"] if changed else [])
    if changed:
        assert found[0].config == {name: topic.config[name]}


def test_missing_replicas_are_told_since_no_client_can_add_them() -> None:
    topic = planned(3)["llm.prompts"]
    (change,) = changes(topic, replace(as_it_is(topic), replication=1))
    assert change.action == "keep"
    assert "reassignment" in change.reason


@given(there=st.integers(1, 40), wanted=st.integers(4, 40))
def test_no_change_ever_removes_partitions(there: int, wanted: int) -> None:
    for topic in planned().values():
        wished = replace(topic, partitions=wanted)
        for change in changes(wished, replace(as_it_is(wished), partitions=there)):
            assert change.action != "grow" or change.planned.partitions > there
