"""Seeded histories of a whole pipeline over the real pure parts: never lost, never doubled, ends.

Prompts, some without an id, some twice, some in the wrong partition, go through classifiers and
workers that poll, answer in any order, commit in steps, are revoked, robbed, killed at any step and
left without knowing how their commit ended. In the workers they wait for their tenants' turns, may
not start before a time, and are tried again. Some are cancelled, which every process hears of in
its own time. Afterwards the faults stop, and it has to end.
"""

import random
from collections import Counter

import pytest

from broker.core.dedupe import DedupeWindow, Verdict
from broker.core.dedupe import Kind as Judged
from broker.core.offsets import NotDeliveredError, PartitionProgress
from broker.core.waiting import WaitingRoom
from tests.core.kafka_model import Broker, Place
from tests.core.process_model import COMPLETIONS, PROMPTS, WORK, Parts, Process, Value
from tests.core.worker_room import Polled

HISTORIES = 2_000
BLOCKS = 20
CALM_ROUNDS = 4_000
GROUPS = {"classifier": PROMPTS, "worker": WORK}


class History:
    def __init__(self, seed: int, parts: Parts) -> None:
        self.drawn = random.Random(seed)
        self.parts = parts
        self.broker = Broker([*PROMPTS, *WORK, *COMPLETIONS], GROUPS)
        self.accepted: set[str] = set()
        self.asked: list[str] = []
        self.processes: dict[str, Process] = {}
        for group in GROUPS:
            for slot in range(2):
                self.start(group, f"{group}-{slot}")
            self.rebalance(group)

    def start(self, group: str, name: str) -> None:
        self.processes[name] = Process(self.broker, group, name, self.drawn, self.parts, self.asked)

    def members(self, group: str) -> list[Process]:
        return [process for process in self.processes.values() if process.group == group]

    def produce(self) -> None:
        place = self.drawn.choice(PROMPTS)
        if self.drawn.random() < 0.3:
            self.accepted.add(f"{place[1]}-{len(self.broker.logs[place])}")
            self.broker.append(place, Value(None))
            return
        identity = f"id{self.drawn.randrange(8)}"
        self.accepted.add(identity)
        self.broker.append(place, Value(identity))

    def cancel(self) -> None:
        """Somebody cancels a prompt, wherever it is, or one that is not there yet."""
        known = sorted(self.accepted) or ["id0"]
        self.asked.append(self.drawn.choice([*known[-6:], f"id{self.drawn.randrange(8)}"]))

    def rebalance(self, group: str) -> None:
        """Share the partitions anew; each member gives back in order, or finds itself robbed."""
        members = self.members(group)
        shares: dict[str, set[Place]] = {member.name: set() for member in members}
        for place in GROUPS[group]:
            shares[self.drawn.choice(members).name].add(place)
        robbed = {member.name for member in members if self.drawn.random() < 0.3}
        generation = self.broker.generation[group] + 1
        for member in members:
            if member.name not in robbed:
                member.assign(shares[member.name], generation, lost=False)
        self.broker.generation[group] = generation
        for member in members:
            if member.name in robbed:
                member.assign(shares[member.name], generation, lost=True)

    def kill(self) -> None:
        """A process dies, at any step, and comes back under its name with nothing in memory."""
        dead = self.processes.pop(self.drawn.choice(sorted(self.processes)))
        self.start(dead.group, dead.name)
        self.rebalance(dead.group)

    def zombie(self) -> None:
        """A process sleeps through a rebalance and goes on as if nothing had happened."""
        sleeper = self.processes[self.drawn.choice(sorted(self.processes))]
        others = [m for m in self.members(sleeper.group) if m is not sleeper]
        self.broker.generation[sleeper.group] += 1
        shares: dict[str, set[Place]] = {other.name: set() for other in others}
        for place in GROUPS[sleeper.group]:
            shares[self.drawn.choice(others).name].add(place)
        for other in others:
            generation = self.broker.generation[sleeper.group]
            other.assign(shares[other.name], generation, lost=self.drawn.random() < 0.3)
        for _ in range(self.drawn.randrange(12)):
            sleeper.step()
            self.drawn.choice(others).step()
        sleeper.assign(set(), self.broker.generation[sleeper.group], lost=True)
        self.rebalance(sleeper.group)

    def completed(self) -> list[str]:
        return [value.identity for _, value in self.broker.visible(COMPLETIONS[0])]

    def run(self) -> None:
        for _ in range(self.drawn.randrange(60, 160)):
            fate = self.drawn.random()
            if fate < 0.12:
                self.produce()
            elif fate < 0.14:
                self.kill()
            elif fate < 0.16:
                self.rebalance(self.drawn.choice(sorted(GROUPS)))
            elif fate < 0.17:
                self.zombie()
            elif fate < 0.20:
                self.cancel()
            else:
                self.processes[self.drawn.choice(sorted(self.processes))].step()
        completed = self.completed()
        assert len(completed) == len(set(completed)), "doubled"
        for _ in range(CALM_ROUNDS):
            for process in self.processes.values():
                process.step()
            if len(self.broker.logs[COMPLETIONS[0]]) and self.accepted <= set(self.completed()):
                break
        self.judge()

    def judge(self) -> None:
        """Work is left to do for as long as something does it: let it all run out, then count."""
        for _ in range(40):
            for process in self.processes.values():
                process.step()
        completed = self.completed()
        assert len(completed) == len(set(completed)), "doubled"
        assert set(completed) == self.accepted, "lost"
        ended = {value.identity for _, value in self.broker.visible(COMPLETIONS[0]) if value[2]}
        assert ended <= set(self.asked), "cancelled, and nobody asked"


@pytest.mark.parametrize("block", range(BLOCKS))
def test_never_lost_never_doubled_always_ends(block: int) -> None:
    for seed in range(block * HISTORIES // BLOCKS, (block + 1) * HISTORIES // BLOCKS):
        try:
            History(seed, Parts()).run()
        except AssertionError as error:
            raise AssertionError(f"history {seed}: {error}") from error


def test_the_histories_meet_what_they_are_made_for() -> None:
    met: Counter[str] = Counter()
    completed = 0
    for seed in range(100):
        history = History(seed, Parts())
        history.run()
        completed += len(history.completed())
        for process in history.processes.values():
            met += process.met
    assert completed > 500
    assert {
        "new",
        "same",
        "duplicate",
        "fenced",
        "gone before its offsets were sent",
        "unknown, was committed",
        "unknown, was not committed",
        "cancelled under way",
        "cancelled in its line",
        "cancelled before its call",
        "cancelled before its route",
    } <= set(met)


class HighestSeen(PartitionProgress):
    """Commits the highest offset seen (parallel-consumer #826)."""

    def preview(self, offsets: object = ()) -> tuple[int, str]:
        del offsets
        return self.position, ""


class ForgetsTheBitmap(PartitionProgress):
    """Commits the base without what is done past it."""

    def preview(self, offsets: object = ()) -> tuple[int, str]:
        return super().preview(offsets)[0], ""  # type: ignore[arg-type]  # passed on as given


class DropsItself(DedupeWindow):
    """Takes a record that is read again for a duplicate of itself."""

    def check(self, identity: str, offset: int, at: float, now: float = 0.0) -> Verdict:
        verdict = super().check(identity, offset, at, now)
        return Verdict(Judged.DUPLICATE, offset) if verdict.kind is Judged.SAME else verdict


class SleepsForEver(WaitingRoom[Polled]):
    """Loses what it lets rest."""

    def rest(self, item: Polled, until: float) -> None:
        del item, until


class KeepsWhatIsTaken(WaitingRoom[Polled]):
    """Says that it took an item out, and starts it all the same."""

    def remove(self, item: Polled) -> bool:
        return self.holds(item)


@pytest.mark.parametrize(
    "sabotaged",
    [
        Parts(progress=HighestSeen),
        Parts(progress=ForgetsTheBitmap),
        Parts(checks_epochs=False),
        Parts(shows_done_to_the_window=False),
        Parts(window=DropsItself),
        Parts(window=lambda window_s, _: DedupeWindow(window_s, 1)),
        Parts(ends_cancelled_once=False),
        Parts(room=SleepsForEver),
        Parts(room=KeepsWhatIsTaken),
    ],
    ids=[
        *("highest-seen", "no-bitmap", "no-epochs", "done-unseen", "drops-itself"),
        *("small-window", "answers-the-cancelled", "sleeps", "keeps-what-is-taken"),
    ],
)
def test_the_histories_notice_known_bugs(sabotaged: Parts) -> None:
    """An oracle without teeth proves nothing: each of these fails within some histories."""
    for seed in range(400):
        try:
            History(seed, sabotaged).run()
        except (AssertionError, NotDeliveredError):
            return
    pytest.fail("400 histories did not notice")
