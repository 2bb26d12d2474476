"""How often the times that waiting prompts are told come true, on the replay of a real trace."""

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from broker.bench.deployment import (
    CLASSIFIER,
    SIMULATOR,
    Deployment,
    made_deployment,
    worker_name,
)
from broker.bench.failing import MeasurementFailedError
from broker.bench.pace import Pace
from broker.bench.site import Site
from broker.load.replay import DuePrompt, plan_replay, send_when_due
from broker.load.sender import PromptSender
from broker.log.topic_names import TopicNames
from broker.records.completion import Completion, decode_completion
from broker.records.progress import ProgressRecord, decode_progress
from broker.settings import Settings
from broker.story.live_topics import LiveTopics

PROVIDERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "quick": {"first_token_s": 0.3, "per_token_s": 0.012, "spread": 0.25},
    "slow": {"first_token_s": 0.6, "per_token_s": 0.03, "spread": 0.4},
}
"""Two clouds that differ, whose latencies are drawn."""
SLOTS: Final = 32
LOAD: Final = 0.95
"""Of what both can serve: with the trace's bursts some prompts wait for long, and some not."""
_POLL_S: Final = 0.1
_ANSWERED_S: Final = 180.0
_FLUSH_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Came:
    """What was said of each prompt, in order, and how each ended."""

    said: Sequence[ProgressRecord]
    ended: Mapping[str, Completion]

    def within(self, said: Sequence[ProgressRecord]) -> float:
        """The share of these whose prompts ended in the range that they said."""
        hits = 0
        for one in said:
            low, high = one.ends_at
            hits += low <= self.ended[one.id].completed_at <= high
        return hits / len(said)


async def eta_within(site: Site, pace: Pace, run: int) -> float:
    """The share of real ends within the said ranges, over all that was said."""
    deployment = await _deployment(site, run)
    plan = plan_of(pace.eta_prompts)
    workers = [worker_name(provider) for provider in PROVIDERS]
    async with deployment.running(SIMULATOR, CLASSIFIER, *workers):
        came = await asyncio.to_thread(_replayed, deployment.settings, plan)
    said = [one for one in came.said if one.id in came.ended]
    if not said:
        raise MeasurementFailedError("No prompt was told when it should end.")
    first = {one.id: one for one in reversed(said)}
    waited = [one for one in said if one.state == "waiting"]
    ran = [one for one in said if one.state == "running"]
    longest = max(one.ends_at[1] - one.at for one in said)
    site.say(
        f"  run {run}: {len(said):,} said of {len(first):,} of {len(plan):,} prompts; within: "
        f"the first said {came.within(list(first.values())):.2f}, "
        f"while waiting {came.within(waited) if waited else 0:.2f} of {len(waited):,}, "
        f"under way {came.within(ran) if ran else 0:.2f} of {len(ran):,}; "
        f"the longest said {longest:.0f} s"
    )
    return came.within(said)


def service_s(prompt: DuePrompt, cloud: Mapping[str, Any]) -> float:
    """How long this cloud takes for it, in the middle."""
    return float(cloud["first_token_s"]) + float(cloud["per_token_s"]) * prompt.output_tokens


def plan_of(prompts: int) -> Sequence[DuePrompt]:
    """The trace at the speed that makes the load."""
    recorded = plan_replay(prompts, run="eta")
    room = 0.0
    for cloud in PROVIDERS.values():
        each = sum(service_s(prompt, cloud) for prompt in recorded) / len(recorded)
        room += SLOTS / each
    usual = len(recorded) / recorded[-1].due_s
    return plan_replay(prompts, LOAD * room / usual, run="eta")


def _replayed(settings: Settings, plan: Sequence[DuePrompt]) -> Came:
    names = TopicNames(settings.kafka.prefix)
    said: list[ProgressRecord] = []
    ended: dict[str, Completion] = {}
    with LiveTopics(settings, (names.completions, names.progress)) as follower:
        sending = threading.Thread(target=_send, args=(settings, plan), daemon=True)
        sending.start()
        ends = time.monotonic() + plan[-1].due_s + _ANSWERED_S
        while len(ended) < len(plan):
            for message in follower.messages(_POLL_S):
                if message.topic() == names.progress:
                    said.append(decode_progress(message.value()))
                else:
                    completion = decode_completion(message.value())
                    ended[completion.id] = completion
            if time.monotonic() > ends:
                raise MeasurementFailedError(
                    f"{len(plan) - len(ended)} of {len(plan)} prompts were not answered in time."
                )
        sending.join(_FLUSH_S)
    failed = [one for one in ended.values() if one.status != "succeeded"]
    if failed:
        raise MeasurementFailedError(f"{len(failed)} prompts failed; the first: {failed[0].error}.")
    return Came(said, ended)


def _send(settings: Settings, plan: Sequence[DuePrompt]) -> None:
    with PromptSender(settings) as sender:
        send_when_due(plan, sender)
        sender.flush(_FLUSH_S)


async def _deployment(site: Site, run: int) -> Deployment:
    provider = {"models": {"bench-chat": "stand-in"}, "max_in_flight": SLOTS}
    cloud = {"slots": SLOTS, "queue": 2 * SLOTS}
    return await made_deployment(
        site,
        f"eta{run}",
        simulator={"clouds": {name: {**cloud, **given} for name, given in PROVIDERS.items()}},
        more={"providers": dict.fromkeys(PROVIDERS, provider)},
    )
