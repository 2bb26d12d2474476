"""Commits that hang in the middle: the outcome must be found out, whichever it was."""

from dataclasses import dataclass
from random import Random
from typing import Final

from tests.faults.deployment import wait_until
from tests.faults.kafka_proxy import ADD_OFFSETS_TO_TXN, END_TXN, KafkaProxy, Then
from tests.faults.rig import Rig

PAST_CALL_S: Final = 17.0
"""Past the transaction's time-out (10 s) and past that of the commit's call (15 s)."""
SHORT_S: Final = 1.0
_COMES_S: Final = 20.0
_RECOVERED_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class CommitHang:
    """What is held, for how long, and what becomes of it."""

    name: str
    key: int
    answer: bool
    then: Then
    seconds: float


COMMIT_TOO_LATE: Final = CommitHang(
    "commit asked too late", END_TXN, answer=False, then=Then.LET_GO, seconds=PAST_CALL_S
)
"""The broker aborts the transaction itself, and gets the order to commit it long after."""
ANSWER_LATE: Final = CommitHang(
    "commit done, answer late", END_TXN, answer=True, then=Then.LET_GO, seconds=PAST_CALL_S
)
"""The broker commits, and nobody is told in time."""
CUT_BEFORE: Final = CommitHang(
    "commit cut before it arrives", END_TXN, answer=False, then=Then.CUT, seconds=SHORT_S
)
ANSWER_CUT: Final = CommitHang(
    "commit done, answer cut", END_TXN, answer=True, then=Then.CUT, seconds=SHORT_S
)
NEVER_ARRIVES: Final = CommitHang(
    "commit never arrives", END_TXN, answer=False, then=Then.CUT, seconds=PAST_CALL_S
)
OFFSETS_TOO_LATE: Final = CommitHang(
    "offsets asked too late",
    ADD_OFFSETS_TO_TXN,
    answer=False,
    then=Then.LET_GO,
    seconds=PAST_CALL_S,
)
HANGS: Final = (
    *(COMMIT_TOO_LATE, ANSWER_LATE, CUT_BEFORE, ANSWER_CUT, NEVER_ARRIVES, OFFSETS_TOO_LATE),
)


def commit_hangs(rig: Rig, proxy: KafkaProxy, hang: CommitHang, chance: Random) -> None:
    """Hold back one step of one transaction, and wait until the writer has got over it."""
    seconds = hang.seconds * chance.uniform(1.0, 1.1)
    proxy.hold(hang.key, answer=hang.answer, then=hang.then, seconds=seconds)
    wait_until(proxy.held.is_set, _COMES_S, f"{hang.name}: the request comes")
    wait_until(proxy.over.is_set, seconds + _COMES_S, f"{hang.name}: it is over")
    waiting = set(rig.traffic.accepted)
    wait_until(
        lambda: waiting <= rig.answers.ids(),
        _RECOVERED_S,
        lambda: f"{hang.name}: {len(waiting - rig.answers.ids())} prompts are answered",
    )
