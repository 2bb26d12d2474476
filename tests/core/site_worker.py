"""A worker of the real pure parts: its room, its moves, and what it writes when a prompt ends."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from broker.core.ageing import key_of
from broker.core.lanes import LANES
from broker.core.routing import Decision
from broker.core.slots import SlotRules
from broker.log.units import Unit as Written
from broker.records.completion import Failure, Status, encode_completion
from broker.records.providers import ProviderState
from broker.records.usage import Usage
from broker.records.work import decode_work
from tests.core.kafka_model import Place
from tests.core.process_model import Unit
from tests.core.site_classifier import SiteProcess
from tests.core.site_model import (
    COMPLETIONS,
    MODELS,
    PLAN,
    PROVIDERS,
    ROUTES,
    TERMS,
    TOPICS,
    Rec,
)
from workers.dispatch import Dispatcher
from workers.endings import Deployment, Endings
from workers.ends import is_able
from workers.falling_behind import FallingBehind
from workers.job import Job
from workers.job import Place as Read
from workers.moving import Mover
from workers.providers.dialect import Answer

SLOTS: Final = 2


@dataclass(kw_only=True)
class SiteWorker(SiteProcess):
    """`group` is the provider. `room`, `mover` and `endings` are the real ones, or sabotaged."""

    room: type[Dispatcher] = Dispatcher
    mover: type[Mover] = Mover
    endings: type[Endings] = Endings

    def __post_init__(self) -> None:
        super().__post_init__()
        lanes = dict.fromkeys(PROVIDERS, PLAN)
        deployment = Deployment(self.group, TOPICS, len(COMPLETIONS), 1, lanes, by_key=True)
        self.writes = self.endings(deployment, {}, dict.fromkeys(MODELS, "m"))
        self.jobs = self.room(SlotRules(SLOTS), TERMS.share_of)
        self.running: list[Job] = []
        self.moves_on = self.mover(
            terms=ROUTES,
            reports=lambda: self.site.reports,
            now=self.site.now,
            provider=self.group,
            worker=self.name,
        )
        self.behind = FallingBehind(self.moves_on)

    def steps(self) -> list[Callable[[], None]]:
        base = super().steps()
        return [*base, self.start, self.start, self.answer, self.answer, self.leave, self.report]

    def forgets(self, is_gone: Callable[[Place], bool]) -> None:
        self.jobs.drop(lambda job: is_gone((job.place.topic, job.place.partition)))

    def took(self, place: Place, offset: int, value: Rec, *, is_work: bool) -> None:
        if not is_work:
            return
        lane = PLAN.lane_of(place[1])
        assert lane is not None
        work = decode_work(value.value, value.headers)
        read = Read(*place, offset, self.assigned[place].epoch)
        job = Job(read, lane, 1, work, calls=work.attempt)
        self.jobs.add(job, self.site.now)
        if self.cancels.covers(work.id, work.accepted_at):
            self.met["cancelled before its call"] += 1
            self.jobs.remove(job)
            self.end(job, "cancelled")

    def cancelled(self, identity: str) -> None:
        for job in [one for one in self.jobs.held() if one.work.id == identity]:
            if self.cancels.covers(identity, job.work.accepted_at):
                self.met["cancelled in its line"] += 1
                assert self.jobs.remove(job)
                self.end(job, "cancelled")
        for job in [one for one in self.running if one.work.id == identity]:
            if self.cancels.covers(identity, job.work.accepted_at):
                self.met["cancelled under way"] += 1
                self.running.remove(job)
                self.jobs.ended(job)
                self.end(job, "cancelled")

    def start(self) -> None:
        """Start what has a slot; for a while a model has to wait."""
        now, jobs = self.site.now, self.jobs
        jobs.wake(now)
        for job in jobs.take_expired(now, 100):
            self.met["expired in its line"] += 1
            self.end(job, "expired")
        blocked = self.drawn.choice((None, None, *MODELS))
        while (started := jobs.next_job(lambda one: one.model != blocked)) is not None:
            assert (started.not_before or now) <= now, "started before its time"
            self.check_order(started)
            started.calls += 1
            started.first_call_at = started.first_call_at or now
            self.running.append(started)

    def check_order(self, job: Job) -> None:
        """Inside a tenant, a lane and a model the least key goes first, whatever lanes did."""
        if job.lane == "batch":
            return  # what presses goes by deadline
        mine = key_of(job, self.site.now)
        for other in self.jobs.waiting_in(job.lane):
            if (other.tenant, other.model) == (job.tenant, job.model):
                assert mine <= key_of(other, self.site.now), "out of order"

    def answer(self) -> None:
        """A provider call ends; calls end in any order, and some are tried again or move."""
        if not self.running:
            return
        job = self.running.pop(self.drawn.randrange(len(self.running)))
        self.jobs.ended(job)
        fate = self.drawn.random()
        if fate < 0.15:
            self.jobs.rest(job, self.site.now + self.drawn.choice((0.0, 1.0, 8.0)))
        elif fate < 0.35:
            chosen = self.moves_on.choose(job, "answered 503", self.site.now)
            if isinstance(chosen, Decision):
                self.move(job, chosen)
            else:
                self.met[str(chosen.reason)] += 1
                self.end(job, "failed")
        else:
            self.end(job, "succeeded")

    def leave(self) -> None:
        """Work that waits leaves a provider that is behind."""
        for job, move in self.behind.moves(self.jobs.waiting_in, self.site.now):
            assert is_able(move.to)
            assert self.jobs.remove(job)
            self.met["left, being behind"] += 1
            self.move(job, move.to)

    def move(self, job: Job, to: Decision) -> None:
        self.moves_on.moved(job, to.provider, self.site.now)
        self.met["moved"] += 1
        self.met["moved twice"] += job.work.moves == 1
        self.write(self.writes.moved(job, to, self.site.now))

    def end(self, job: Job, status: Status) -> None:
        answer, error = None, None
        if status == "succeeded":
            used = self.drawn.randint(1, job.work.expected_output_tokens)
            answer = Answer("Rayleigh.", {}, Usage(job.work.input_tokens, used), "stop")
        else:
            error = Failure(status, status, "It ended so.")
        now = self.site.now
        completion = self.writes.completion(job, status, now, answer=answer, error=error)
        self.write(self.writes.completed(job, completion, encode_completion(completion)))

    def write(self, unit: Written) -> None:
        outputs = tuple(map(self.site.placed, unit.outputs))
        place = (unit.topic, unit.partition)
        self.pending.append(Unit(place, unit.offset, unit.epoch, outputs))

    def report(self) -> None:
        """What it says of itself; its speed and its breaker are as they like."""
        waiting = self.jobs.waiting_weight
        now, others = self.site.now, self.site.reports.get(self.group, ())
        state = ProviderState(
            provider=self.group,
            worker=self.name,
            at=now,
            breaker=self.drawn.choice(("closed", "closed", "closed", "open")),
            in_flight=len(self.running),
            slots=SLOTS,
            waiting=sum(self.jobs.waiting.values()),
            waiting_weight=sum(waiting.values()),
            speed=self.drawn.choice((5.0, 200.0, 5_000.0)),
            waiting_by_lane=dict(self.jobs.waiting),  # type: ignore[arg-type]  # lanes are words
            in_flight_by_lane={},
            opens_again_at=now + 2,
            waiting_weight_by_lane={lane: waiting[lane] for lane in LANES},
            calls_take=dict.fromkeys(MODELS, (0.1, 0.01)),
        )
        if state.breaker == "closed":
            state = replace(state, opens_again_at=None)
        kept = (one for one in others if one.worker != self.name)
        self.site.reports[self.group] = (*kept, state)
