"""The long fault matrix: many runs of each fault at random times; `make soak` prints its table.

`SOAK_RUNS` (20) is how often each fault is done, `SOAK_SEED` repeats an earlier matrix.
"""

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from statistics import median

import pytest

from broker.log.embedded import EmbeddedKafka
from tests.faults import process_faults, provider_faults
from tests.faults.broker_faults import broker_killed, own_broker
from tests.faults.commit_faults import HANGS, commit_hangs
from tests.faults.kafka_proxy import KafkaProxy
from tests.faults.mixed_kinds import KINDS, RATE, expect_whole_answers, mixed_settings
from tests.faults.rig import Rig, fault_settings, rigged
from tests.faults.streamed import expect_same_texts
from tests.faults.up_fault import up_killed

RUNS = int(os.environ.get("SOAK_RUNS", "20"))
SEED = os.environ.get("SOAK_SEED") or secrets.token_hex(4)
STOPPED_CALLS = 64
"""As many as a worker has slots."""
ROW = "{:<28} {:>5} {:>8} {:>5} {:>11} {:>9} {:>13} {:>13}"
HEAD = (
    "fault",
    "runs",
    "prompts",
    "lost",
    "duplicates",
    "repeated",
    "longest p50",
    "longest max",
)

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

Broker = tuple[EmbeddedKafka, KafkaProxy]
Fault = Callable[[Rig, Random], object]

FAULTS: dict[str, Fault] = {
    "worker killed": process_faults.worker_killed,
    "classifier killed": process_faults.classifier_killed,
    "both killed in a loop": process_faults.both_killed_in_a_loop,
    "worker stopped": process_faults.worker_stopped,
    "classifier stopped": process_faults.classifier_stopped,
    "worker joins and leaves": process_faults.worker_joins_and_leaves,
    "classifier joins and leaves": process_faults.classifier_joins_and_leaves,
    "storm of 429": provider_faults.storm_of_429,
    "one provider out": provider_faults.one_provider_out,
    "all providers out": provider_faults.all_providers_out,
}


class Table:
    """The rows so far; each is shown when it is complete, and all of them at the end."""

    def __init__(self) -> None:
        self._rows: list[str] = []

    def add(self, fault: str, counts: tuple[int, int, int, int], recoveries: list[float]) -> None:
        """One fault's row: prompts, lost, duplicates and repeated calls; recoveries in seconds."""
        times = (f"{median(recoveries):.1f} s", f"{max(recoveries):.1f} s")
        self._rows.append(ROW.format(fault, len(recoveries), *counts, *times))
        sys.stderr.write(f"\n{self._rows[-1]}\n")

    def show(self) -> None:
        """Print all rows."""
        lines = [f"seed {SEED}", ROW.format(*HEAD), *self._rows]
        sys.stdout.write("\n" + "\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    """The table, printed when all faults are done."""
    made = Table()
    yield made
    made.show()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that may be harmed, and a proxy before it: a new one for each row.

    One that is killed reads all that it has when it comes back, so the rows before would decide how
    long that takes, and how much waits for it.
    """
    with own_broker(tmp_path / "kafka") as made:
        yield made


def _row(rig: Rig, table: Table, name: str, fault: Fault, **how: float) -> None:
    """Do it many times on one deployment, then look at everything that came of it."""
    recoveries: list[float] = []
    for run in range(RUNS):
        chance = Random(f"{SEED} {name} {run}")
        recoveries.append(rig.trial(lambda chance=chance: fault(rig, chance), **how).recovery_s)  # type: ignore[misc]  # called at once
    verdict = rig.judge()
    counts = (len(verdict.lost), len(verdict.duplicates), verdict.repeated_calls)
    table.add(name, (verdict.accepted, *counts), recoveries)
    assert not verdict.lost
    assert not verdict.duplicates, verdict.told


@pytest.mark.parametrize("name", FAULTS)
def test_processes_and_providers(
    name: str, broker: Broker, table: Table, prefix: str, tmp_path: Path
) -> None:
    settings = fault_settings(broker[0].start().bootstrap, prefix)
    after = provider_faults.AFTER_OUTAGE_S if "out" in name else 1.0
    with rigged(settings, tmp_path, pin="google" if "all" in name else None) as rig:
        _row(rig, table, name, FAULTS[name], after_s=after)


@pytest.mark.parametrize("name", ["worker killed", "worker stopped"])
def test_streams(name: str, broker: Broker, table: Table, prefix: str, tmp_path: Path) -> None:
    settings = fault_settings(broker[0].start().bootstrap, prefix)
    with rigged(settings, tmp_path, fields={"stream": True}) as rig:
        _row(rig, table, f"{name}, streams", FAULTS[name])
        # One that is stopped may begin calls before it hears that its partitions are gone.
        expect_same_texts(rig.deployment.settings, unfinished=RUNS * STOPPED_CALLS)


def test_every_kind(broker: Broker, table: Table, prefix: str, tmp_path: Path) -> None:
    settings = mixed_settings(broker[0].start().bootstrap, prefix, tmp_path / "store")
    with rigged(settings, tmp_path, rate=RATE, kinds=KINDS) as rig:
        _row(rig, table, "both killed, every kind", process_faults.both_killed_in_a_loop)
        expect_whole_answers(rig.deployment.settings)


def test_broker_killed(broker: Broker, table: Table, prefix: str, tmp_path: Path) -> None:
    kafka, _ = broker
    with rigged(fault_settings(kafka.start().bootstrap, prefix), tmp_path) as rig:
        _row(rig, table, "broker killed", lambda rig, chance: broker_killed(rig, kafka, chance))


@pytest.mark.parametrize("member", ["worker-azure-0", "classifier-0"])
def test_commit_hangs(
    member: str, broker: Broker, table: Table, prefix: str, tmp_path: Path
) -> None:
    kafka, proxy = broker

    def hang(rig: Rig, chance: Random) -> None:
        commit_hangs(rig, proxy, chance.choice(HANGS), chance)

    with rigged(fault_settings(kafka.start().bootstrap, prefix), tmp_path) as rig:
        rig.through_proxy(member, proxy.address)
        _row(rig, table, f"commit hangs, {member.split('-', maxsplit=1)[0]}", hang)


@pytest.mark.parametrize("member", [process_faults.WORKER, process_faults.CLASSIFIER])
def test_stopped_while_it_joins(
    member: str, broker: Broker, table: Table, prefix: str, tmp_path: Path
) -> None:
    kafka, proxy = broker

    def stopped(rig: Rig, _chance: Random) -> None:
        process_faults.stopped_while_it_joins(rig, proxy, member)

    with rigged(fault_settings(kafka.start().bootstrap, prefix), tmp_path) as rig:
        rig.through_proxy(member, proxy.address)
        _row(rig, table, f"{member.split('-', maxsplit=1)[0]} stopped, joining", stopped)


def test_up_killed(table: Table, prefix: str, tmp_path: Path) -> None:
    settings = fault_settings("embedded", prefix)
    trials = [up_killed(settings, tmp_path, Random(f"{SEED} up {run}")) for run in range(RUNS)]
    prompts = sum(trial.prompts for trial in trials)
    # Each of the runs has checked that nothing was lost or doubled.
    table.add("up killed", (prompts, 0, 0, 0), [trial.recovery_s for trial in trials])
