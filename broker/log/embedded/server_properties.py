"""What the embedded broker is told: its server.properties and its log's configuration. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HOST = "127.0.0.1"
NODE_ID = 1


@dataclass(frozen=True, slots=True)
class Ports:
    """Where clients connect, and where the KRaft controller listens (only the broker uses it)."""

    broker: int
    controller: int

    @property
    def bootstrap(self) -> str:
        """What clients give as `bootstrap.servers`."""
        return f"{HOST}:{self.broker}"


_SINGLE_NODE = {
    # One broker holds every replica.
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # A handful of groups and transactional ids: fewer partitions start and recover quicker.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    # A stalled broker that is taken for dead loses every leadership for a moment, and with it
    # markers of transactions (`fencing`): it is never taken for dead while this process lives.
    "broker.session.timeout.ms": "86400000",
    "broker.heartbeat.interval.ms": "500",
    # A stop would give every leadership away too, while transactions may still be ending.
    "controlled.shutdown.enable": "false",
    # The first member of a group need not wait for others that may never come.
    "group.initial.rebalance.delay.ms": "0",
    # On one machine a member that is silent for some seconds is dead; 6 s is Kafka's least.
    "group.min.session.timeout.ms": "1000",
    # A topic with the default shape would break lanes; `topics apply` makes them.
    "auto.create.topics.enable": "false",
    # A transaction left open by a killed process blocks read-committed readers until this ends it.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    # What keeps a late produce from leaving a transaction hanging.
    "transaction.partition.verification.enable": "true",
    # Memory: the default cleaner buffer alone is 128 MB of heap.
    "log.cleaner.dedupe.buffer.size": "4194304",
    "log.cleaner.io.buffer.size": "131072",
    "socket.request.max.bytes": "33554432",
    "num.network.threads": "2",
    "num.io.threads": "4",
    # Disk: segments small enough that retention takes effect, index files not 10 MB each.
    "log.segment.bytes": "134217728",
    "log.index.size.max.bytes": "1048576",
    "log.retention.check.interval.ms": "60000",
}


def server_properties(folder: Path, ports: Ports) -> dict[str, str]:
    """The broker's configuration, for data in `folder`/data."""
    return {
        "process.roles": "broker,controller",
        "node.id": str(NODE_ID),
        # Static voters: unlike those of `format --standalone` they follow a changed port.
        "controller.quorum.voters": f"{NODE_ID}@{HOST}:{ports.controller}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://{ports.bootstrap},CONTROLLER://{HOST}:{ports.controller}",
        "advertised.listeners": f"PLAINTEXT://{ports.bootstrap}",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(folder / "data"),
        **_SINGLE_NODE,
    }


def log_properties(log_file: Path) -> dict[str, str]:
    """Log4j 2's configuration: one file of at most 10 MB and one older one."""
    return {
        "status": "error",
        "appender.file.type": "RollingFile",
        "appender.file.name": "file",
        "appender.file.fileName": str(log_file),
        "appender.file.filePattern": f"{log_file}.%i",
        "appender.file.layout.type": "PatternLayout",
        "appender.file.layout.pattern": "%d{ISO8601} %-5p %m (%c{1})%n",
        "appender.file.policies.type": "Policies",
        "appender.file.policies.size.type": "SizeBasedTriggeringPolicy",
        "appender.file.policies.size.size": "10MB",
        "appender.file.strategy.type": "DefaultRolloverStrategy",
        "appender.file.strategy.max": "1",
        "rootLogger.level": "info",
        "rootLogger.appenderRef.file.ref": "file",
    }


def render_properties(values: Mapping[str, str]) -> str:
    """Java's properties format, with the escapes that paths may need."""
    return "".join(f"{name}={_escaped(value)}\n" for name, value in values.items())


def _escaped(value: str) -> str:
    escaped = value.replace("\\", "\\\\")
    return "".join(char if " " <= char <= "~" else _unicode_escape(char) for char in escaped)


def _unicode_escape(char: str) -> str:
    units = char.encode("utf-16-be")
    return "".join(f"\\u{units[i] << 8 | units[i + 1]:04x}" for i in range(0, len(units), 2))
