"""The demonstration from start to audit."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.live import Live

from broker.demo.board import Board
from broker.demo.comparison import Compared, one_against_all
from broker.demo.feed import Feed
from broker.demo.scenario import Fault, plan_faults
from broker.demo.table import Progress, draw
from broker.load.mixture import NOISY, Mixed, mixed
from broker.load.replay import HEAVY_EVERY, DuePrompt, plan_replay
from broker.log.provider_states import ProviderStatesReader
from broker.records.errors import NotReadyError, UsageError
from broker.settings import Settings, load_settings
from broker.story.audit_run import AuditResult, run_audit
from broker.supervisor.machine import Machine, running_machine
from broker.supervisor.signals import ending_on_signals
from workers.simulator.remote import RemoteSimulator

ANSWERED_WITHIN_S: Final = 120.0
"""How long after the last prompt every answer has to be there."""
DRAIN_S: Final = 5.0
_LOOK_S: Final = 0.25
_TELL_S: Final = 5.0
_GRACE_S: Final = 5.0
_KEPT_EVENTS: Final = 200


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for."""

    prompts: int
    speed: float
    faults: bool
    kafka: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it went. Times are seconds; `sent` counts acknowledged prompts."""

    audit: AuditResult
    board: Board
    faults: tuple[Fault, ...]
    sent: int
    seconds: float
    ready_s: float
    compared: Compared

    @property
    def sound(self) -> bool:
        """Whether every prompt has exactly one completion."""
        counts = self.audit.figures.counts
        return (
            self.audit.figures.sound and counts["pending"] == 0 and counts["completed"] == self.sent
        )

    def as_json(self) -> dict[str, Any]:
        """The audit's object with what only the demonstration knows."""
        return {
            **self.audit.figures.counts,
            "seconds": round(self.seconds, 3),
            "ready_s": round(self.ready_s, 3),
            "sent": self.sent,
            "faults": [
                {"at_s": round(one.at_s, 1), "kind": one.kind, "target": one.target}
                for one in self.faults
            ],
            "one_against_all": self.compared.as_json(),
        }


class Demonstration:
    """One run; `console` is drawn on when it is a terminal, else it gets lines."""

    def __init__(self, options: Options, settings: Settings, console: Console) -> None:
        self._options = options
        self._settings = settings
        self._console = console
        self._board = Board(settings.providers)
        self._events: list[str] = []
        self._began = time.monotonic()
        self._live: Live | None = None
        self._told = 0.0

    async def run(self, config: Path) -> Outcome:
        """Bring everything up, replay, break things, audit; raises WeighbridgeError."""
        options = self._options
        replay_plan = plan_replay(
            options.prompts,
            options.speed,
            run=f"demo{int(time.time()):x}",
            lanes=self._settings.lanes,
        )
        mix = mixed(replay_plan)
        plan = mix.plan
        length_s = plan[-1].due_s
        faults = plan_faults(length_s, list(self._settings.providers)) if options.faults else ()
        async with (
            ending_on_signals() as ending,
            running_machine(
                self._settings, config=config, say=self._say, drain_s=DRAIN_S
            ) as machine,
        ):
            connected = self._settings.at(machine.bootstrap)
            self._greet(machine, mix)
            started = time.time()
            with Feed(connected, plan) as feed:
                replay = asyncio.create_task(self._replay(machine, connected, feed, plan, faults))
                asked = asyncio.create_task(ending.asked.wait())
                ending.ready()
                await asyncio.wait((replay, asked), return_when=asyncio.FIRST_COMPLETED)
                for task in (replay, asked):
                    task.cancel()
                await asyncio.gather(replay, asked, return_exceptions=True)
                if not replay.cancelled() and (error := replay.exception()) is not None:
                    raise error
                seconds = time.time() - started
            self._console.print("\nThe audit reads the topics, and nothing else.")
            audit = await asyncio.to_thread(
                run_audit, connected, grace_s=_GRACE_S, since=started - 1.0
            )
        compared = await asyncio.to_thread(one_against_all, self._settings, plan)
        return Outcome(
            audit, self._board, faults, feed.acknowledged, seconds, machine.ready_s, compared
        )

    def _greet(self, machine: Machine, mix: Mixed) -> None:
        self._console.print(
            f"\nReady in {machine.ready_s:.1f} s. A real Apache Kafka at {machine.bootstrap}; "
            f"[bold yellow]the simulator plays {', '.join(machine.plan.simulated)}[/], each in its "
            "own dialect."
        )
        self._console.print(
            f"Replaying {len(mix.plan)} requests of two production traces (Azure, 2023) in "
            f"{mix.plan[-1].due_s:.0f} s; every {HEAVY_EVERY}th also carries the contexts of those "
            f"after it, so that some are heavy. {mix.streams} of the answers come as streams; "
            f"{mix.pictures} requests ask for a picture and {mix.embeddings} for embeddings. One "
            f"tenant, {NOISY}, sends its {mix.burst} all at one moment.\n"
        )

    async def _replay(
        self,
        machine: Machine,
        settings: Settings,
        feed: Feed,
        plan: Sequence[DuePrompt],
        faults: Sequence[Fault],
    ) -> None:
        states = ProviderStatesReader(settings)
        states.start()
        breaking = asyncio.create_task(self._break(machine, feed, faults))
        self._live = None
        try:
            if self._console.is_terminal:
                with Live(console=self._console, auto_refresh=False, transient=False) as self._live:
                    await self._watch(feed, states, plan)
            else:
                await self._watch(feed, states, plan)
        finally:
            self._live = None
            breaking.cancel()
            await asyncio.gather(breaking, return_exceptions=True)
            await asyncio.to_thread(states.close)

    async def _watch(
        self, feed: Feed, states: ProviderStatesReader, plan: Sequence[DuePrompt]
    ) -> None:
        """Until every prompt is answered, or the time for it is over."""
        ends: float | None = None
        while True:
            for completion in feed.take():
                self._board.completed(completion)
            self._board.states({name: list(one) for name, one in states.snapshot().items()})
            self._show(feed, plan)
            if feed.failure is not None:
                raise NotReadyError(
                    f"The demonstration's own clients failed: {feed.failure}",
                    mend="Run it again; if this repeats, look into the logs it named.",
                )
            now = time.monotonic()
            if feed.all_sent.is_set():
                ends = ends or now + ANSWERED_WITHIN_S
                if len(self._board.ids) >= feed.acknowledged or now > ends:
                    return
            await asyncio.sleep(_LOOK_S)

    async def _break(self, machine: Machine, feed: Feed, faults: Sequence[Fault]) -> None:
        """Make the faults when they are due."""
        began_at = await asyncio.to_thread(feed.wait_began)
        for fault in faults:
            await asyncio.sleep(max(0.0, began_at + fault.at_s - time.time()))
            self._say("fault", fault.sentence)
            if fault.kind == "outage":
                simulator = RemoteSimulator(machine.plan.simulator_url or "")
                await asyncio.to_thread(
                    simulator.set_faults, fault.target, {"outages": [{"to_s": fault.seconds}]}
                )
            else:
                machine.supervisor.kill(fault.target)

    def _show(self, feed: Feed, plan: Sequence[DuePrompt]) -> None:
        elapsed = 0.0 if feed.began_at is None else time.time() - feed.began_at
        progress = Progress(feed.acknowledged, len(plan), elapsed)
        if self._live is not None:
            self._live.update(draw(self._board, progress, self._events), refresh=True)
        elif elapsed - self._told >= _TELL_S:
            self._told = elapsed
            self._console.print(
                f"{time.monotonic() - self._began:6.1f} s  sent {progress.sent}/{progress.total}, "
                f"answered {self._board.done}, moves {sum(self._board.moves.values())}"
            )

    def _say(self, who: str, what: str) -> None:
        line = f"{time.monotonic() - self._began:6.1f} s  {who:>18}  {what}"
        self._events.append(line)
        del self._events[:-_KEPT_EVENTS]
        if self._live is None:
            self._console.print(line, markup=False)


async def run_demo(options: Options, console: Console, show: Callable[[Outcome], None]) -> Outcome:
    """Run it with the shipped settings, and show how it went; raises WeighbridgeError."""
    with as_file(files("broker.demo").joinpath("demo.toml")) as config:
        kafka = {} if options.kafka is None else {"kafka": {"bootstrap": options.kafka}}
        settings = load_settings(config, **kafka)
        real = [name for name in settings.providers if not settings.is_simulated(name)]
        if real:
            raise UsageError(
                f"The demonstration must not call real providers, and {real[0]} has a base_url.",
                mend="Unset WEIGHBRIDGE_PROVIDERS__… in the environment.",
            )
        outcome = await Demonstration(options, settings, console).run(config)
    show(outcome)
    return outcome
