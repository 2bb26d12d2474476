"""`weighbridge topics` as a user runs it, on a real broker."""

import time

from confluent_kafka.admin import AdminClient, NewTopic

from broker.log.clients import admin_config
from broker.log.topic_names import TopicNames
from broker.settings import Settings, load_settings
from tests.cli.running import Ran, run

KEYS = ["topic", "action", "partitions", "replication", "config", "reason"]


def until_refused(settings: Settings) -> Ran:
    """Brokers tell of a new topic a little after they acknowledged it."""
    ends = time.monotonic() + 20
    while True:
        ran = run(settings, "topics", "plan", expect=None)
        if ran.code == 1:
            return ran
        assert time.monotonic() < ends, ran


def test_planned_applied_and_then_as_planned(settings: Settings) -> None:
    prefix = settings.kafka.prefix
    planned = run(settings, "topics", "plan", "--json").json()["changes"]
    assert {change["action"] for change in planned} == {"create"}
    assert all(list(change) == KEYS for change in planned)
    assert [change["topic"] for change in planned][:2] == [
        f"{prefix}.prompts",
        f"{prefix}.work.openai",
    ]
    assert len(planned) == 14
    applied = run(settings, "topics", "apply", "--json").json()["changes"]
    assert {change["action"] for change in applied} == {"created"}
    assert len(applied) == 14
    assert run(settings, "topics", "plan").out == "all topics are as planned\n"
    assert run(settings, "topics", "apply").out == "all topics were as planned\n"
    assert run(settings, "topics", "plan", "--json").json() == {"changes": []}


def test_grown_and_told_what_that_means(settings: Settings) -> None:
    run(settings, "topics", "apply")
    more = "16"
    planned = run(settings, "topics", "plan", WEIGHBRIDGE_TOPICS__WORK=more).out
    assert planned.count("grow ") == 4
    assert "lanes get other partitions" in planned
    assert run(settings, "topics", "apply", WEIGHBRIDGE_TOPICS__WORK=more).out.count("grown ") == 4


def test_a_topic_that_would_break_lanes_is_refused_with_the_way_out(settings: Settings) -> None:
    work = TopicNames(settings.kafka.prefix).work("azure")
    client = AdminClient(admin_config(settings))
    for made in client.create_topics([NewTopic(work, 16, 1)]).values():
        made.result(timeout=30)
    planned = until_refused(settings)
    assert f"refuse     {work}" in planned.out
    applied = run(settings, "topics", "apply", expect=2)
    assert "topics.work = 16" in applied.err
    assert applied.out == ""
    ours = [name for name in client.list_topics(timeout=30).topics if settings.kafka.prefix in name]
    assert ours == [work]


def test_another_broker_by_option_and_one_that_does_not_run(settings: Settings) -> None:
    nowhere = load_settings(kafka={"prefix": settings.kafka.prefix})
    refused = run(nowhere, "topics", "plan", expect=3)
    assert "weighbridge up" in refused.err
    named = run(nowhere, "topics", "plan", "--kafka", settings.kafka.bootstrap)
    assert named.out.count("create ") == 14
    assert "HOST:PORT" in run(nowhere, "topics", "plan", "--kafka", "here", expect=2).err
