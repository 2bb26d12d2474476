"""Starting Kafka's Java in a broker's folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from broker.log.embedded import broker_process
from broker.log.embedded.broker_folder import BrokerFolder, jvm_environment
from broker.log.embedded.jvm import Profile, server_command


@dataclass(frozen=True, slots=True)
class Launch:
    """What every start of one broker has in common; `flags` are the JVM's beyond the profile's."""

    files: BrokerFolder
    java_path: Path
    jars: Path
    profile: Profile
    flags: Sequence[str]

    def start(self, properties: Path, *, owned: bool) -> psutil.Process:
        """Run Kafka with these properties; `owned`: it ends with this process.

        Raises NotReadyError when it ended at once, OSError when it could not be started.
        """
        command = server_command(
            self.java_path,
            self.jars,
            properties,
            profile=self.profile,
            log_config=self.files.log_config,
            extra=self.flags,
        )
        child = broker_process.spawn(
            command, environ=jvm_environment(), output=self.files.output, owned=owned
        )
        try:
            return psutil.Process(child.pid)
        except psutil.NoSuchProcess:
            raise self.files.failed("ended at once", self.files.last_lines()) from None
