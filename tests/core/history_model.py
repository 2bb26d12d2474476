"""What happens to the processes of a history: rebalances, robbery, kills, sleep, at last calm."""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence

from tests.core.kafka_model import Broker, Place
from tests.core.process_model import Process

CALM_ROUNDS = 4_000


class History(ABC):
    """`groups` has the partitions that each group reads, `slots` how many processes it has."""

    def __init__(
        self,
        seed: int,
        others: Iterable[Place],
        groups: Mapping[str, Sequence[Place]],
        slots: Mapping[str, int],
    ) -> None:
        self.drawn = random.Random(seed)
        self.groups = groups
        places = [place for read in groups.values() for place in read]
        self.broker = Broker([*places, *others], groups)
        self.accepted: set[str] = set()
        self.processes: dict[str, Process] = {}
        for group, count in slots.items():
            for slot in range(count):
                self.start(group, f"{group}-{slot}")
            self.rebalance(group)

    @abstractmethod
    def started(self, group: str, name: str) -> Process:
        """A new process of a group."""

    @abstractmethod
    def shake(self, fate: float) -> bool:
        """Something from outside happens, by a number from 0 to 1; False: a process does a step."""

    @abstractmethod
    def completed(self) -> list[str]:
        """The ids of all completions that are committed."""

    def judge(self) -> None:
        """All has ended; raises AssertionError where a promise was not kept."""
        completed = self.completed()
        assert len(completed) == len(set(completed)), "doubled"
        assert set(completed) == self.accepted, "lost"

    def start(self, group: str, name: str) -> None:
        self.processes[name] = self.started(group, name)

    def members(self, group: str) -> list[Process]:
        return [process for process in self.processes.values() if process.group == group]

    def any_process(self) -> Process:
        return self.processes[self.drawn.choice(sorted(self.processes))]

    def rebalance(self, group: str) -> None:
        """Share the partitions anew; each member gives back in order, or finds itself robbed."""
        members = self.members(group)
        shares: dict[str, set[Place]] = {member.name: set() for member in members}
        for place in self.groups[group]:
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
        dead = self.processes.pop(self.any_process().name)
        self.start(dead.group, dead.name)
        self.rebalance(dead.group)

    def zombie(self) -> None:
        """A process sleeps through a rebalance and goes on as if nothing had happened."""
        sleeper = self.any_process()
        others = [member for member in self.members(sleeper.group) if member is not sleeper]
        if not others:
            return
        self.broker.generation[sleeper.group] += 1
        shares: dict[str, set[Place]] = {other.name: set() for other in others}
        for place in self.groups[sleeper.group]:
            shares[self.drawn.choice(others).name].add(place)
        for other in others:
            generation = self.broker.generation[sleeper.group]
            other.assign(shares[other.name], generation, lost=self.drawn.random() < 0.3)
        for _ in range(self.drawn.randrange(12)):
            sleeper.step()
            self.drawn.choice(others).step()
        sleeper.assign(set(), self.broker.generation[sleeper.group], lost=True)
        self.rebalance(sleeper.group)

    def run(self, fewest: int = 60, most: int = 160) -> None:
        """Faults for so many steps; then they stop, and it has to end."""
        for _ in range(self.drawn.randrange(fewest, most)):
            if not self.shake(self.drawn.random()):
                self.any_process().step()
        completed = self.completed()
        assert len(completed) == len(set(completed)), "doubled"
        for count in range(CALM_ROUNDS):
            for process in self.processes.values():
                process.step()
            if count % 8 == 0 and self.accepted <= set(self.completed()):
                break
        # Work is left to do for as long as something does it: let it all run out, then count.
        for _ in range(40):
            for process in self.processes.values():
                process.step()
        self.judge()
