"""Cancels of prompts at every stage of their way, around the death of who has them."""

import time
from random import Random
from typing import Final

from broker.log.control_writer import write_cancels
from broker.records.control import Cancel
from tests.faults.process_faults import CLASSIFIER, WORKER, kill
from tests.faults.rig import Rig

_AT_ONCE: Final = 25


def cancel_newest(rig: Rig, chance: Random, count: int = _AT_ONCE) -> set[str]:
    """Cancel some of those that were accepted last: most of them are on their way."""
    newest = sorted(rig.traffic.accepted.items(), key=lambda one: one[1])[-2 * count :]
    chosen = {identity for identity, _ in chance.sample(newest, min(count, len(newest)))}
    write_cancels(rig.deployment.settings, [Cancel(one, time.time(), "test") for one in chosen])
    return chosen


def killed_around_cancels(rig: Rig, chance: Random, rounds: int) -> set[str]:
    """Kill -9 of a worker or the classifier just before, just after, or while cancels come."""
    asked: set[str] = set()
    for _ in range(rounds):
        time.sleep(chance.uniform(0.3, 1.0))
        victim = chance.choice((WORKER, WORKER, CLASSIFIER))
        if chance.random() < 0.5:
            kill(rig, victim)
            asked |= cancel_newest(rig, chance)
        else:
            asked |= cancel_newest(rig, chance)
            time.sleep(chance.uniform(0.0, 0.05))
            kill(rig, victim)
        asked |= cancel_newest(rig, chance)
        rig.deployment.wait_ready(victim)
    return asked


def expect_either_end(rig: Rig, asked: set[str]) -> int:
    """Only what was cancelled ended so, and the rest was answered; how many were cancelled."""
    ends = {identity: rig.answers.of(identity)[0] for identity in rig.answers.ids()}
    statuses = {one.status for one in ends.values()}
    assert statuses <= {"succeeded", "cancelled"}, statuses
    cancelled = {identity for identity, one in ends.items() if one.status == "cancelled"}
    assert cancelled <= asked, f"cancelled, and nobody asked: {sorted(cancelled - asked)[:5]}"
    assert all(ends[identity].code == "cancelled" for identity in cancelled)
    return len(cancelled)
