"""The files of one embedded broker: where they lie, what is written, what is told of a failure."""

import base64
import os
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path

from broker.log.embedded.fencing import controller_properties
from broker.log.embedded.jvm import JVM_ENVIRONMENT, format_command
from broker.log.embedded.server_properties import (
    Ports,
    log_properties,
    render_properties,
    server_properties,
)
from broker.records.errors import NotReadyError

_TAIL_LINES = 15
_TAIL_BYTES = 4096


class BrokerFolder:
    """Paths under `root`; everything the broker has is there, so removing it removes the broker."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.properties = self.root / "server.properties"
        self.controller_properties = self.root / "controller.properties"
        self.log_config = self.root / "log4j2.properties"
        self.log = self.root / "kafka.log"
        self.output = self.root / "jvm.out"
        self.pid = self.root / "kafka.pid"
        self.ports = self.root / "ports.json"
        self.lock = self.root / "lock"
        self._formatted = self.root / "formatted"

    @property
    def is_formatted(self) -> bool:
        """Whether the data folder is Kafka's own already."""
        return self._formatted.exists()

    def configure(self, chosen: Ports, overrides: Mapping[str, str]) -> None:
        """Write the broker's configuration and its log's."""
        properties = server_properties(self.root, chosen) | dict(overrides)
        self.properties.write_text(render_properties(properties))
        controller = controller_properties(self.root, chosen)
        self.controller_properties.write_text(render_properties(controller))
        self.log_config.write_text(render_properties(log_properties(self.log)))
        self.output.write_bytes(b"")

    def format(self, java_path: Path, jars: Path, *, deadline_s: float) -> None:
        """Make the empty data folder Kafka's own; raises NotReadyError."""
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        # An id that begins with a dash would be read as an option.
        command = format_command(java_path, jars, self.properties, f"w{identity[1:]}")
        try:
            done = subprocess.run(  # noqa: S603 - our own command, without a shell
                command,
                env=jvm_environment(),
                capture_output=True,
                timeout=deadline_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise self.failed("did not prepare its data folder in time", "") from None
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode(errors="replace")
            raise self.failed("could not prepare its data folder", said)
        # Our own mark, written last: a format that was cut off is done again.
        self._formatted.touch()

    def last_lines(self) -> str:
        """The end of what the JVM and the broker said."""
        found = [_tail(self.output), _tail(self.log)]
        return "\n".join(part for part in found if part)

    def failed(self, what: str, said: str) -> NotReadyError:
        """A failure of the broker, with the last lines of what it said."""
        lines = "\n".join(said.strip().splitlines()[-_TAIL_LINES:])
        quoted = f" Its last lines:\n{lines}\n" if lines else ""
        return NotReadyError(
            f"The embedded Kafka {what}.{quoted}",
            mend=f"The whole log is {self.log}; `weighbridge kafka wipe` starts it anew, without "
            "its data.",
            code="kafka_failed",
        )


def jvm_environment() -> dict[str, str]:
    """This process's environment, without options meant for other Java programs of this user."""
    unwanted = {"JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS", "CLASSPATH"}
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return kept | JVM_ENVIRONMENT


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - _TAIL_BYTES))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
