"""A real trace as prompts with due times, and sending them when they are due, come what may."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, cycle, islice
from typing import Any, Final

from broker.load.sender import PromptSender
from broker.load.texts import TextMaker
from broker.load.traces import Source, TraceRequest, load_trace
from broker.records.errors import UsageError
from broker.settings.lanes import LaneSettings

HEAVY_EVERY: Final = 20
_HEAVY_FIRST: Final = 10
_HEAVY_MARGIN: Final = 1.1
_GAP_S: Final = 0.1
_SLEEP_S: Final = 0.05
_FINE_S: Final = 0.001

TENANTS: Final[Mapping[Source, str]] = {"conv": "chat-app", "code": "code-assistant"}
"""Under which tenant the requests of each trace are sent."""


@dataclass(frozen=True, slots=True)
class DuePrompt:
    """One prompt of a replay. `due_s` is seconds since the replay began, in order.

    `fields` are the prompt's without its id; `input_tokens` are those of its text. `joined` is how
    many requests of the trace it carries: 1, or more where it was made heavy.
    """

    id: str
    tenant: str
    due_s: float
    source: Source
    input_tokens: int
    output_tokens: int
    joined: int
    fields: Mapping[str, Any] = field(repr=False)


def plan_replay(
    prompts: int,
    speed: float = 1.0,
    *,
    seed: int = 0,
    run: str = "replay",
    lanes: LaneSettings | None = None,
    heavy_every: int | None = HEAVY_EVERY,
) -> tuple[DuePrompt, ...]:
    """The first `prompts` requests of both traces, `speed` times as fast as they came.

    Ids are `<run>-<source>-<number>`, so two replays into one deployment need two `run`s. A trace
    that is too short begins again. The whole plan is held, about 5 kB for a prompt.

    How long the recorded answer was goes along in a field that only the simulator heeds: whoever
    weighs and routes the prompt does not know it, as with real ones.

    Next to none of the recorded requests is heavy by the default thresholds. So every
    `heavy_every`th carries also the contexts of the requests after it, as one that comes with
    documents does, until it reaches `lanes.heavy_min`; None leaves all as they were recorded.
    Raises UsageError for a number or speed that makes no replay.
    """
    if prompts < 1 or speed <= 0:
        raise UsageError(
            f"A replay of {prompts} prompts at speed {speed:g} cannot be made.",
            mend="Give at least one prompt and a speed above 0.",
        )
    texts = TextMaker(seed)
    wanted = lanes or LaneSettings()
    recorded = tuple(islice(_endless(load_trace()), prompts))
    plan = []
    for number, request in enumerate(recorded):
        tokens, joined = request.input_tokens, 1
        if heavy_every is not None and number % heavy_every == min(_HEAVY_FIRST, heavy_every - 1):
            tokens, joined = _made_heavy(recorded, number, wanted)
        tenant = TENANTS[request.source]
        fields = {
            "tenant": tenant,
            "simulated_output_tokens": request.output_tokens,
            "prompt": texts.make(tokens),
        }
        plan.append(
            DuePrompt(
                id=f"{run}-{request.source}-{number:05d}",
                tenant=tenant,
                due_s=(request.at_s - recorded[0].at_s) / speed,
                source=request.source,
                input_tokens=tokens,
                output_tokens=request.output_tokens,
                joined=joined,
                fields=fields,
            )
        )
    return tuple(plan)


def _endless(trace: Sequence[TraceRequest]) -> Iterator[TraceRequest]:
    length_s = trace[-1].at_s + _GAP_S
    for turn in count():
        for one in trace:
            yield replace(one, at_s=one.at_s + turn * length_s)


def _made_heavy(
    recorded: Sequence[TraceRequest], number: int, lanes: LaneSettings
) -> tuple[int, int]:
    """Tokens of the context joined with those after it, and how many requests these are."""
    tokens, joined = 0, 0
    for request in islice(cycle(recorded), number, None):
        tokens += request.input_tokens
        joined += 1
        # Over 32 kB the classifier estimates; a margin keeps a low estimate in the lane.
        if tokens >= lanes.heavy_min * _HEAVY_MARGIN:
            break
    return tokens, joined


@dataclass(frozen=True, slots=True)
class Replayed:
    """How a replay went. `started_at` is unix seconds: a prompt was due at that plus `due_s`.

    `latest_s` is by how much the prompt that was sent latest came after it was due.
    """

    started_at: float
    sent: int
    latest_s: float


def send_when_due(
    prompts: Iterable[DuePrompt],
    sender: PromptSender,
    *,
    go_on: Callable[[], bool] = lambda: True,
    on_sent: Callable[[DuePrompt], None] | None = None,
) -> Replayed:
    """Open loop: each prompt goes out when it is due, whatever was answered before.

    Measure latencies from when a prompt was due, not from when it went out. Returns when the last
    one is sent, not acknowledged (`sender.flush`), or soon after `go_on` says no, which is asked
    at least every 50 ms. Raises as `PromptSender.send` does.
    """
    started_at, began = time.time(), time.monotonic()
    sent, latest_s = 0, 0.0
    for prompt in prompts:
        while (left := began + prompt.due_s - time.monotonic()) > 0 and go_on():
            if left < _FINE_S:
                time.sleep(left)  # the client waits in whole milliseconds
            else:
                sender.poll(min(left, _SLEEP_S))
        if not go_on():
            break
        sender.send(prompt.id, prompt.fields)
        latest_s = max(latest_s, -left)
        sent += 1
        if on_sent is not None:
            on_sent(prompt)
    return Replayed(started_at, sent, latest_s)
