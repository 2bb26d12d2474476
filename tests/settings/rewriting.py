"""A settings file that is rewritten while processes run, and what each of them says of it."""

import os
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
from prometheus_client.parser import text_string_to_metric_families

from broker.log.embedded import Running
from broker.log.topic_names import TopicNames
from broker.records.work import Work, decode_work
from broker.story.log_reader import LogReader
from tests.faults.deployment import Member, wait_until
from tests.faults.rig import Rig, fault_settings, rigged

WITHIN_S: Final = 60.0
TENANTS: Final = ("acme", "bank", "free")
SLOTS: Final = 4
OF_CALLS: Final = "[lengths]\nlearn = false\n"
"""So that a prompt's weight is known to the test."""


def metric(member: Member, name: str, **labels: str) -> float:
    """A sample of a process's metrics; 0 while there is none."""
    with urllib.request.urlopen(f"http://127.0.0.1:{member.port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    return 0.0


@dataclass(frozen=True, slots=True)
class Rewriting:
    """Whoever changes the file, and looks at what the processes that watch it do."""

    rig: Rig
    file: Path

    @property
    def watchers(self) -> list[Member]:
        """Every process that watches the file."""
        return [m for m in self.rig.deployment.members.values() if m.name != "simulator"]

    def becomes(self, text: str) -> None:
        """Another file takes its place, at once."""
        other = self.file.with_suffix(".new")
        other.write_text(text, "utf-8")
        other.replace(self.file)

    def begins(self, text: str) -> None:
        """It is written in place, and whoever writes it stops in the middle of a line."""
        with self.file.open("w", encoding="utf-8") as file:
            file.write(text[: len(text) // 2])
            file.flush()
            os.fsync(file.fileno())

    def said(self, member: Member, event: str) -> list[dict[str, Any]]:
        """The lines of a process's log with this event, of all its lives."""
        lines = member.log.read_text(errors="replace").splitlines()
        found = (orjson.loads(line) for line in lines if f'"{event}"' in line)
        return [line for line in found if line["event"] == event]

    def until_all_say(self, event: str, times: int) -> None:
        """Until each process that watches has said it so often."""
        wait_until(
            lambda: all(len(self.said(one, event)) >= times for one in self.watchers),
            WITHIN_S,
            lambda: f"{event} {times} times: {self.counts(event)}",
        )

    def counts(self, event: str) -> dict[str, int]:
        """How often each has said it."""
        return {one.name: len(self.said(one, event)) for one in self.watchers}

    def reloads(self, member: Member, outcome: str) -> float:
        """Of the process as it is now, by its metric."""
        return metric(member, "weighbridge_settings_reloads_total", outcome=outcome)

    def ends(self, tenant: str) -> Counter[str]:
        """How the prompts of a tenant that were answered so far ended."""
        answers = self.rig.answers
        found: Counter[str] = Counter()
        for identity in answers.ids():
            if self.rig.traffic.kind_of(identity).get("tenant") == tenant:
                seen = answers.of(identity)[0]
                found[seen.code or seen.status] += 1
        return found

    def works(self) -> list[Work]:
        """What was written for all providers so far, as often as it was moved."""
        settings = self.rig.deployment.settings
        names = TopicNames(settings.kafka.prefix)
        found = []
        with LogReader(settings) as reader:
            for provider in settings.providers:
                for batch in reader.read(reader.spans(names.work(provider))):
                    found += [decode_work(message.value()) for message in batch]
        return found


@contextmanager
def rewriting(
    kafka: Running, prefix: str, folder: Path, text: str, rate: float = 60.0
) -> Iterator[Rewriting]:
    """A deployment whose tenants ask in turn, with this file."""
    file = folder / "weighbridge.toml"
    file.write_text(text, "utf-8")
    cloud = {"first_token_s": 0.02, "per_token_s": 0.0, "spread": 0.1, "slots": 64}
    provider = {"max_in_flight": SLOTS, "adaptive": False, "first_byte_s": 20.0}
    settings = fault_settings(
        kafka.bootstrap,
        prefix,
        providers={
            name: {"models": {"chat-small": model}, **provider}
            for name, model in {"azure": "gpt-5-mini", "google": "gemini-3-flash"}.items()
        },
        simulator={"speed": 1.0, "clouds": {"azure": cloud, "google": cloud}},
    )
    kinds = [{"tenant": tenant} for tenant in TENANTS]
    with rigged(settings, folder, rate=rate, kinds=kinds, file=file) as rig:
        yield Rewriting(rig, file)
