"""Limits on a real broker: two classifiers, of which each is killed."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from confluent_kafka import Producer

from broker.log.clients import producer_config
from broker.log.embedded import Running
from broker.records.tenants import Entry, encode_entry
from broker.records.times import from_rfc3339
from broker.settings import Settings
from tests.cli.running import run
from tests.faults.deployment import Deployment, deployed, wait_until
from tests.faults.rig import fault_settings
from tests.system.conversation import Conversation

WITHIN_S = 60.0


class Town:
    """A deployment, and what its tenants ask."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.talk = Conversation(deployment.settings)
        self._asked = 0
        given = {name: one.model_dump() for name, one in deployment.settings.tenants.items()}
        self.tenants = {"WEIGHBRIDGE_TENANTS": orjson.dumps(given).decode()}

    def ask(self, tenant: str, count: int, **fields: Any) -> list[str]:
        """So many prompts of a tenant at once."""
        ids = [f"{tenant}-{self._asked + number}" for number in range(count)]
        self._asked += count
        self.talk.write_many(
            (
                orjson.dumps({"id": one, "tenant": tenant, "prompt": "Why?", **fields}),
                self.talk.home(one),
            )
            for one in ids
        )
        return ids

    def ends(self, ids: list[str]) -> Counter[str]:
        """How they ended: `succeeded`, or the code of the failure."""
        found = self.talk.completions(ids)
        bodies = [one.body for one in found.values()]
        return Counter(
            body["status"] if body["error"] is None else body["error"]["code"] for body in bodies
        )

    def settle(self) -> None:
        """Until the ledger has both lines of every prompt that ended well."""

        def even() -> bool:
            kinds = Counter(line["kind"] for line in self.lines() if line["prompt"] != "earlier")
            return kinds["charge"] == kinds["correction"]

        wait_until(even, WITHIN_S, "corrections of all charges")

    def charge(self, tenant: str, count: int, at: float) -> None:
        """What a tenant began at another time, as the ledger has it."""
        topic = self.talk.topics.tenants
        writer = Producer(producer_config(self.deployment.settings))
        for number in range(count):
            line = Entry(tenant, "charge", 0, at, 1.0, 1.0, 0.0, "earlier", (0, -1 - number))
            writer.produce(topic, encode_entry(line), partition=0)
        assert writer.flush(WITHIN_S) == 0

    def lines(self) -> list[dict[str, Any]]:
        """What was charged and corrected so far."""
        read = [line.body for line in self.talk.read(self.talk.topics.tenants)]
        return [line for line in read if line["kind"] in ("charge", "correction")]


def settings_for(kafka: Running, prefix: str, tenants: Mapping[str, Any]) -> Settings:
    return fault_settings(
        kafka.bootstrap,
        prefix,
        simulator={"fast": True},
        tenants=tenants,
    )


@contextmanager
def town(settings: Settings, folder: Path) -> Iterator[Town]:
    with deployed(settings, folder) as deployment:
        found = Town(deployment)
        try:
            yield found
        finally:
            found.talk.close()


def test_two_classifiers_keep_limits_and_one_that_is_killed_remembers_them(
    kafka: Running, prefix: str, tmp_path: Path
) -> None:
    settings = settings_for(
        kafka,
        prefix,
        {
            "daily": {"requests_per_day": 100},
            "tokens": {"tokens_per_month": 20_000},
            "fast": {"requests_per_minute": 40, "max_wait_s": 0},
            "patient": {"requests_per_minute": 10, "max_wait_s": 60},
        },
    )
    with town(settings, tmp_path) as place:
        # Ten were begun nearly a minute ago; the next one may when those are a minute old. After
        # the rebalance both classifiers have read of them.
        began = time.time() - 50
        place.charge("patient", 10, began)
        place.deployment.add_classifier(1)
        place.deployment.wait_ready("classifier-1")
        (waited,) = place.talk.completions(place.ask("patient", 1)).values()
        assert waited.body["status"] == "succeeded"
        completed = from_rfc3339(waited.body["completed_at"])
        assert completed >= began + 60
        first = place.ends(place.ask("daily", 60))
        assert first["succeeded"] >= 50
        limited = place.ends(place.ask("fast", 80))
        assert limited["succeeded"] + limited["rate_limited"] == 80
        assert 30 <= limited["succeeded"] <= 41
        free = place.ends(place.ask("free", 40))
        assert free == {"succeeded": 40}

        place.deployment.kill("classifier-0")
        place.deployment.kill("classifier-1")
        place.deployment.start("classifier-0")
        place.deployment.wait_ready("classifier-0")
        # The other's partitions, and what of the budget is theirs, come when its session has ended.
        second = Counter[str]()
        ends = time.monotonic() + WITHIN_S
        while first["succeeded"] + second["succeeded"] < 100:
            assert time.monotonic() < ends, second
            second += place.ends(place.ask("daily", 20))
        assert first["succeeded"] + second["succeeded"] <= 102, "2% over at the most"
        assert place.ends(place.ask("daily", 10)) == {"budget_exhausted": 10}

        used = place.ends(place.ask("tokens", 150, max_output_tokens=500))
        assert used["budget_exhausted"] > 0
        place.settle()
        counted = sum(
            one.body["input_tokens"] + one.body["output_tokens"]
            for one in place.talk.read(place.talk.topics.completions)
            if one.body["tenant"] == "tokens" and one.body["status"] == "succeeded"
        )
        lines = place.lines()
        assert sum(line["tokens"] for line in lines if line["tenant"] == "tokens") == counted
        assert counted <= 20_000 * 1.02
        told = run(place.deployment.settings, "tenants", "--json", expect=0, **place.tenants).json()
        assert told["daily"]["day"]["requests"]["left"] == 0
        assert told["tokens"]["month"]["tokens"]["used"] == counted
        assert "free" not in told
        shown = run(place.deployment.settings, "tenants", "daily", expect=0, **place.tenants).out
        assert "requests a day" in shown
        refusal = next(
            one.body["error"]
            for one in place.talk.read(place.talk.topics.completions)
            if one.body["tenant"] == "daily" and one.body["error"]
        )
        assert refusal["type"] == "limit"
        assert refusal["retry_at"].endswith("T00:00:00.000Z")
