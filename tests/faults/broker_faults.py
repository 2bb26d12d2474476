"""A broker of one's own to harm: it can be killed, and reached through a proxy that holds back."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

from broker.log.embedded import EmbeddedKafka
from broker.log.embedded.ports import choose, free_port
from broker.log.embedded.server_properties import HOST
from tests.faults.kafka_proxy import KafkaProxy
from tests.faults.rig import Rig

START_S = 120.0


@contextmanager
def own_broker(folder: Path) -> Iterator[tuple[EmbeddedKafka, KafkaProxy]]:
    """A running broker, and a proxy whose clients stay on it: it is what they are told to use."""
    folder.mkdir(parents=True, exist_ok=True)
    ports = choose(folder / "ports.json")
    behind = free_port(avoid=ports.broker)
    with KafkaProxy((HOST, behind)) as proxy:
        kafka = EmbeddedKafka(
            folder,
            profile="short",
            owned=True,
            overrides={
                "listeners": f"PLAINTEXT://{ports.bootstrap},PROXIED://{HOST}:{behind},"
                f"CONTROLLER://{HOST}:{ports.controller}",
                "advertised.listeners": f"PLAINTEXT://{ports.bootstrap},PROXIED://{proxy.address}",
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,"
                "CONTROLLER:PLAINTEXT",
            },
        )
        try:
            kafka.start(START_S)
            yield kafka, proxy
        finally:
            kafka.stop()


def broker_killed(rig: Rig, kafka: EmbeddedKafka, chance: Random) -> None:
    """Kill -9 of the broker, and started again on its data; no other process is touched."""
    pids = {name: member.pid for name, member in rig.deployment.members.items()}
    time.sleep(chance.uniform(0.0, 0.5))
    kafka.kill()
    time.sleep(chance.uniform(0.0, 3.0))
    kafka.start(START_S)
    rig.deployment.wait_ready(*rig.deployment.members)
    now = {name: member.pid for name, member in rig.deployment.members.items()}
    assert now == pids, "everything has to go on without being started again"
