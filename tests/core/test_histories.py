"""Seeded histories of a whole pipeline over the real pure parts: never lost, never doubled, ends.

Prompts, some without an id, some twice, some in the wrong partition, go through classifiers and
workers that poll, answer in any order, commit in steps, are revoked, robbed, killed at any step and
left without knowing how their commit ended. In the workers they wait for their tenants' turns, may
not start before a time, and are tried again. Some are cancelled, which every process hears of in
its own time. Afterwards the faults stop, and it has to end.
"""

from collections import Counter

import pytest

from broker.core.dedupe import DedupeWindow, Verdict
from broker.core.dedupe import Kind as Judged
from broker.core.offsets import NotDeliveredError, PartitionProgress
from broker.core.waiting import WaitingRoom
from tests.core.history_model import History
from tests.core.plain_roles import (
    COMPLETIONS,
    PROMPTS,
    WORK,
    Plain,
    PlainClassifier,
    PlainParts,
    PlainWorker,
    Value,
)
from tests.core.worker_room import Polled

HISTORIES = 2_000
BLOCKS = 20
GROUPS = {"classifier": PROMPTS, "worker": WORK}


class PlainHistory(History):
    def __init__(self, seed: int, parts: PlainParts) -> None:
        self.parts = parts
        self.asked: list[str] = []
        super().__init__(seed, COMPLETIONS, GROUPS, {"classifier": 2, "worker": 2})

    def started(self, group: str, name: str) -> Plain:
        made = PlainClassifier if group == "classifier" else PlainWorker
        return made(self.broker, group, name, self.drawn, self.parts, asked=self.asked)

    def shake(self, fate: float) -> bool:
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
            return False
        return True

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

    def completed(self) -> list[str]:
        return [value.identity for _, value in self.broker.visible(COMPLETIONS[0])]

    def judge(self) -> None:
        super().judge()
        ended = {value.identity for _, value in self.broker.visible(COMPLETIONS[0]) if value[2]}
        assert ended <= set(self.asked), "cancelled, and nobody asked"


@pytest.mark.parametrize("block", range(BLOCKS))
def test_never_lost_never_doubled_always_ends(block: int) -> None:
    for seed in range(block * HISTORIES // BLOCKS, (block + 1) * HISTORIES // BLOCKS):
        try:
            PlainHistory(seed, PlainParts()).run()
        except AssertionError as error:
            raise AssertionError(f"history {seed}: {error}") from error


def test_the_histories_meet_what_they_are_made_for() -> None:
    met: Counter[str] = Counter()
    completed = 0
    for seed in range(100):
        history = PlainHistory(seed, PlainParts())
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
        PlainParts(progress=HighestSeen),
        PlainParts(progress=ForgetsTheBitmap),
        PlainParts(checks_epochs=False),
        PlainParts(shows_done_to_the_window=False),
        PlainParts(window=DropsItself),
        PlainParts(window=lambda window_s, _: DedupeWindow(window_s, 1)),
        PlainParts(ends_cancelled_once=False),
        PlainParts(room=SleepsForEver),
        PlainParts(room=KeepsWhatIsTaken),
    ],
    ids=[
        *("highest-seen", "no-bitmap", "no-epochs", "done-unseen", "drops-itself"),
        *("small-window", "answers-the-cancelled", "sleeps", "keeps-what-is-taken"),
    ],
)
def test_the_histories_notice_known_bugs(sabotaged: PlainParts) -> None:
    """An oracle without teeth proves nothing: each of these fails within some histories."""
    for seed in range(400):
        try:
            PlainHistory(seed, sabotaged).run()
        except (AssertionError, NotDeliveredError):
            return
    pytest.fail("400 histories did not notice")
