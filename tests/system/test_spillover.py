"""Provisioned capacity that spills over: the provider's headers reach the journal and `trace`."""

import secrets
from collections.abc import Iterator

import pytest

from broker.log.embedded import Running
from broker.records.calls import decode_call
from broker.settings import load_settings
from tests.cli.running import run
from tests.system.conftest import TOPICS
from tests.system.conversation import Conversation, talking

MODELS = {"chat-small": "ptu-small", "chat-large": "ptu-large"}
"""Two, as what one's headers tell of its limit holds the next call of the same."""


@pytest.fixture(scope="module")
def spilling(kafka: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversation]:
    """One provider whose provisioned capacity is always used up."""
    given = {"dialect": "azure", "spillover_deployment": "standard-1", "models": MODELS}
    settings = load_settings(
        kafka={"bootstrap": kafka.bootstrap, "prefix": f"s{secrets.token_hex(4)}"},
        topics=TOPICS,
        models={"chat-small": {"default": True}, "chat-large": {}},
        providers={"azure": given},
        simulator={"fast": True, "clouds": {"azure": {"tokens_per_minute": 1}}},
        log={"format": "json"},
    )
    with talking(settings, tmp_path_factory.mktemp("logs")) as conversation:
        yield conversation


@pytest.mark.parametrize(("model", "stream"), [("chat-small", False), ("chat-large", True)])
def test_the_deployment_that_answered_is_told(
    spilling: Conversation, model: str, *, stream: bool
) -> None:
    spilling.ask(id=model, prompt="Why is the sky blue?", model=model, stream=stream)
    body = spilling.completion(model).body
    assert body["status"] == "succeeded", body["error"]
    told = {"deployment": "standard-1", "spillover_from": MODELS[model]}
    calls = [decode_call(one.value) for one in spilling.read(spilling.topics.calls)]
    (ended,) = [one for one in calls if one.id == model and one.event == "ended"]
    assert (ended.outcome, ended.notes) == ("ok", told)
    line = f"deployment standard-1, spillover from {MODELS[model]}"
    assert line in " ".join(run(spilling.settings, "trace", model).out.split())
    events = run(spilling.settings, "trace", model, "--json").json()["events"]
    (event,) = [one for one in events if one["event"] == "call_ended"]
    assert event["notes"] == told
