"""How often the times that prompts are told come true, on replays of a real trace.

One with nearly as much load as the clouds can serve, and one with less in which a cloud is down for
a while and another one slow, so that work moves.
"""

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
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
from broker.bench.standing_words import share_within, standing, table
from broker.load.replay import DuePrompt, plan_replay, send_when_due
from broker.load.sender import PromptSender
from broker.log.topic_names import TopicNames
from broker.records.completion import Completion, decode_completion
from broker.records.progress import ProgressRecord, decode_progress
from broker.settings import Settings
from broker.story.live_topics import LiveTopics
from workers.simulator.remote import RemoteSimulator

PROVIDERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "quick": {"first_token_s": 0.3, "per_token_s": 0.012, "spread": 0.25},
    "usual": {"first_token_s": 0.4, "per_token_s": 0.018, "spread": 0.3},
    "slow": {"first_token_s": 0.6, "per_token_s": 0.03, "spread": 0.4},
}
"""Clouds that differ, whose latencies are drawn."""
SLOTS: Final = 32
LOAD: Final = 0.95
"""Of what all can serve: with the trace's bursts some prompts wait for long, and some not."""
MOVING_LOAD: Final = 0.65
_DOWN: Final = (0.15, 0.35)
_SLOW: Final = (0.55, 0.75)
"""Of the replay's time, from and until when the first cloud is down, and the second one slow."""
_SLOWED: Final = 0.2
_POLL_S: Final = 0.1
_ANSWERED_S: Final = 180.0
_FLUSH_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Came:
    """What was said of each prompt, in order, and how each ended."""

    said: Sequence[ProgressRecord]
    ended: Mapping[str, Completion]

    def share(self) -> float:
        """The share of what was said whose prompts ended within it.

        Raises MeasurementFailedError when nothing was said of any of them.
        """
        hits = [
            one.ends_at[0] <= self.ended[one.id].completed_at <= one.ends_at[1]
            for one in self.said
            if one.id in self.ended
        ]
        if not hits:
            raise MeasurementFailedError("No prompt was told when it should end.")
        return sum(hits) / len(hits)


async def eta_within(site: Site, pace: Pace, run: int) -> tuple[float, float]:
    """The shares of real ends within the said ranges, over all that was said, of both replays."""
    deployment = await _deployment(site, run)
    simulator = RemoteSimulator(f"http://127.0.0.1:{deployment.simulator_port}")
    full = plan_of(pace.eta_prompts)
    moving = plan_of(pace.eta_prompts, MOVING_LOAD, run="eta-moving")
    workers = [worker_name(provider) for provider in PROVIDERS]
    async with deployment.running(SIMULATOR, CLASSIFIER, *workers):
        steady = await asyncio.to_thread(_replayed, deployment.settings, full)
        troubling = asyncio.create_task(_trouble(simulator, moving[-1].due_s))
        try:
            troubled = await asyncio.to_thread(_replayed, deployment.settings, moving)
        finally:
            troubling.cancel()
            await asyncio.gather(troubling, return_exceptions=True)
    for what, came in (("near full load", steady), ("a cloud down, one slow", troubled)):
        _tell(site, f"run {run}, {what}", came)
    return steady.share(), troubled.share()


def _tell(site: Site, what: str, came: "Came") -> None:
    words = standing(came.said, came.ended)
    moved = sum(len(one.route) > 1 for one in came.ended.values())
    site.say(
        f"  {what}: {len(words):,} words; {moved:,} of {len(came.ended):,} prompts moved; "
        f"within: {came.share():.2f} of what was said, {share_within(words):.2f} at any moment"
    )
    for line in table(words):
        site.say(f"    {line}")


async def _trouble(simulator: RemoteSimulator, length_s: float) -> None:
    """Let the first cloud be down for a part of the replay, and the second one be slow."""
    down, slowed = list(PROVIDERS)[:2]
    begins, ends = (share * length_s for share in _DOWN)
    faults = {"outages": [{"from_s": begins, "to_s": ends}]}
    await asyncio.to_thread(simulator.set_faults, down, faults)
    begins, ends = (share * length_s for share in _SLOW)
    await asyncio.sleep(begins)
    await asyncio.to_thread(partial(simulator.set_capacity, slowed, speed=_SLOWED))
    await asyncio.sleep(ends - begins)
    await asyncio.to_thread(simulator.reset_capacity, slowed)


def service_s(prompt: DuePrompt, cloud: Mapping[str, Any]) -> float:
    """How long this cloud takes for it, in the middle."""
    return float(cloud["first_token_s"]) + float(cloud["per_token_s"]) * prompt.output_tokens


def plan_of(prompts: int, load: float = LOAD, run: str = "eta") -> Sequence[DuePrompt]:
    """The trace at the speed that makes this part of what the clouds can serve."""
    recorded = plan_replay(prompts, run=run)
    room = 0.0
    for cloud in PROVIDERS.values():
        each = sum(service_s(prompt, cloud) for prompt in recorded) / len(recorded)
        room += SLOTS / each
    usual = len(recorded) / recorded[-1].due_s
    return plan_replay(prompts, load * room / usual, run=run)


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
