"""A thread that watches the settings file and says what became of each change."""

import threading
from collections.abc import Callable
from typing import Any, Final, Protocol

from broker.settings import Settings
from broker.settings.reloading import Reloaded, Reloading
from broker.telemetry.logs import get_logger

EVERY_S: Final = 0.5
"""A change is taken after one to two of these: it has to be seen at rest."""
_NAMED: Final = 20
_CLOSE_S: Final = 5.0


class Counter(Protocol):
    """A metric with the label `outcome`."""

    def labels(self, outcome: str, /) -> Any:
        """The counter of this outcome."""


class SettingsWatch:
    """Watches from `start` to `close`. Subscribers are called on its thread.

    `subscribe` before `start`. What a subscriber refuses with a WeighbridgeError is not taken by
    anyone.
    """

    def __init__(self, settings: Settings, counter: Counter, every_s: float = EVERY_S) -> None:
        self._reloading = Reloading(settings)
        self._counter = counter
        self._every_s = every_s
        self._closing = threading.Event()
        self._log = get_logger(file=str(self._reloading.file))
        self._thread = threading.Thread(target=self._run, name="settings-watch", daemon=True)
        self.problem: str | None = None
        """What is wrong in the file as it is now, which is not used; None when nothing is."""
        self._told: tuple[str, ...] = ()
        """Settings of which it was said that they need a restart."""

    def subscribe(self, take: Callable[[Settings], None]) -> None:
        """Be told of new settings; see `broker.settings.reloading`."""
        self._reloading.subscribe(take)

    def start(self) -> None:
        """Begin to watch; nothing without a file."""
        if self._reloading.file is not None:
            self._thread.start()

    def close(self) -> None:
        """Watch no more."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            try:
                found = self._reloading.look()
            except Exception as error:  # noqa: BLE001 - settings that cannot be taken stop nothing
                found = Reloaded("wrong", why=f"{type(error).__name__} while they were taken")
            if found is not None:
                self._tell(found)

    def _tell(self, found: Reloaded) -> None:
        self.problem = found.why or None
        self._say(found)
        self._counter.labels(found.outcome).inc()

    def _say(self, found: Reloaded) -> None:
        if found.outcome == "wrong":
            self._log.error(
                "settings_not_reloaded",
                why=found.why,
                then="the settings that were in force stay in force",
                mend="Mend it; it is read again when it changes.",
            )
        else:
            self._log.info(f"settings_{found.outcome}", changed=list(found.changed))
        if found.outcome == "wrong" and not found.need_restart:
            return  # a file that cannot be read says nothing of them
        new = [name for name in found.need_restart if name not in self._told]
        self._told = found.need_restart
        if new:
            self._log.warning(
                "settings_need_restart",
                settings=new[:_NAMED],
                more=max(0, len(new) - _NAMED),
                then="they count from the next start of this process",
            )
