"""Harm to our own processes, each a function of the rig and of seeded chance.

Each ends with everything running again, as whoever supervises the processes would have it.
"""

import time
from random import Random
from typing import Final

from tests.faults.deployment import wait_until
from tests.faults.kafka_proxy import SYNC_GROUP, KafkaProxy, Then
from tests.faults.rig import SESSION_S, Rig

WORKER: Final = "worker-azure-0"
CLASSIFIER: Final = "classifier-0"
PAST_SESSION_S: Final = SESSION_S + 1.5
PAST_TRANSACTION_S: Final = 12.0
_ROUNDS: Final = 3
_TAKEN_OVER_S: Final = 40.0


def kill(rig: Rig, name: str) -> None:
    """SIGKILL, and started again at once, as `up` does."""
    rig.deployment.kill(name)
    rig.deployment.start(name)


def worker_killed(rig: Rig, chance: Random) -> None:
    """Kill -9 of the preferred provider's only worker."""
    time.sleep(chance.uniform(0.0, 0.5))
    kill(rig, WORKER)


def classifier_killed(rig: Rig, chance: Random) -> None:
    """Kill -9 of the only classifier."""
    time.sleep(chance.uniform(0.0, 0.5))
    kill(rig, CLASSIFIER)


def both_killed_in_a_loop(rig: Rig, chance: Random) -> None:
    """Kill -9 of both again and again, also while they start."""
    for _ in range(_ROUNDS):
        for name in (WORKER, CLASSIFIER):
            kill(rig, name)
            time.sleep(chance.uniform(0.2, 2.5))


def worker_stopped(rig: Rig, chance: Random, *, seconds: float | None = None) -> None:
    """SIGSTOP of a worker until a second one has its partitions; then it comes back, a zombie."""
    second = rig.deployment.add_worker("azure", 1)
    rig.deployment.wait_ready(second)
    _zombie(rig, WORKER, chance, seconds)
    rig.deployment.terminate(second)


def stopped_while_it_joins(rig: Rig, proxy: KafkaProxy, name: str) -> None:
    """SIGSTOP of a worker or classifier, behind the proxy, that waits for its part in a generation.

    It is taken for dead, and a second one gets everything. When it goes on, the first thing that
    it reads is the answer of that generation: which partitions it may keep.
    """
    deployment = rig.deployment
    proxy.hold(SYNC_GROUP, answer=True, then=Then.LET_GO, seconds=1.0)
    second = (
        deployment.add_classifier(1) if name == CLASSIFIER else deployment.add_worker("azure", 1)
    )
    assert proxy.held.wait(_TAKEN_OVER_S), "nobody joins"
    deployment.stop(name)
    assert proxy.over.wait(_TAKEN_OVER_S)
    deployment.wait_ready(second)
    _others_answer(rig, name, PAST_SESSION_S)
    deployment.cont(name)
    come_back(rig, name)
    deployment.terminate(second)


def classifier_stopped(rig: Rig, chance: Random, *, seconds: float | None = None) -> None:
    """SIGSTOP of a classifier until a second one has its partitions; then a zombie comes back."""
    second = rig.deployment.add_classifier(1)
    rig.deployment.wait_ready(second)
    _zombie(rig, CLASSIFIER, chance, seconds)
    rig.deployment.terminate(second)


def _zombie(rig: Rig, name: str, chance: Random, seconds: float | None) -> None:
    """Stop it past its session, see that others answer all, and let it go on where it was."""
    time.sleep(chance.uniform(0.0, 0.5))
    rig.deployment.stop(name)
    _others_answer(rig, name, seconds or chance.choice((PAST_SESSION_S, PAST_TRANSACTION_S)))
    rig.deployment.cont(name)
    come_back(rig, name)


def _others_answer(rig: Rig, name: str, seconds: float) -> None:
    """Let it be stopped for so long, and until what was accepted by then is answered."""
    time.sleep(seconds)
    waiting = rig.traffic.accepted_by(time.monotonic())
    wait_until(
        lambda: waiting <= rig.answers.ids(),
        _TAKEN_OVER_S,
        lambda: f"{len(waiting - rig.answers.ids())} prompts answered while {name} is stopped",
    )


def come_back(rig: Rig, name: str) -> None:
    """It is ready again by itself, or ends with a clear error and is started again."""
    member = rig.deployment.members[name]
    wait_until(lambda: not member.runs or member.ready, 40, f"{name} is back, or has ended")
    if not member.runs:
        code = rig.deployment.wait_ended(name)
        said = member.last_lines()
        assert code in (1, 3), f"{name} ended with {code}:\n{said}"
        assert "Traceback" not in said, said
        rig.deployment.start(name)
    rig.deployment.wait_ready(name)


def worker_joins_and_leaves(rig: Rig, chance: Random) -> None:
    """A second worker comes and goes, once drained and once killed."""
    second = rig.deployment.add_worker("azure", 1)
    rig.deployment.wait_ready(second)
    time.sleep(chance.uniform(0.2, 1.5))
    rig.deployment.terminate(second)
    rig.deployment.start(second)
    time.sleep(chance.uniform(0.5, 3.0))
    kill(rig, second)
    rig.deployment.wait_ready(second)
    rig.deployment.terminate(second)


def classifier_joins_and_leaves(rig: Rig, chance: Random) -> None:
    """A second classifier comes and goes, once drained and once killed."""
    second = rig.deployment.add_classifier(1)
    rig.deployment.wait_ready(second)
    time.sleep(chance.uniform(0.2, 1.5))
    rig.deployment.terminate(second)
    rig.deployment.start(second)
    time.sleep(chance.uniform(0.5, 3.0))
    kill(rig, second)
    rig.deployment.wait_ready(second)
    rig.deployment.terminate(second)
