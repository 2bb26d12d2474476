"""Whether a process goes on: until a signal asks it to drain, or something fails for good."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from typing import Any, Final

from broker.records.errors import WeighbridgeError

ENDINGS: Final = (signal.SIGTERM, signal.SIGINT)


class ProcessFailedError(WeighbridgeError):
    """Something went wrong that only a new process can mend."""

    default_code = "process_failed"


class Lifetime:
    """Of one process, whose event loop runs. `what` names it in sentences, as in `The worker`.

    The first failure counts.
    """

    def __init__(self, what: str, log: Any) -> None:
        self._what = what
        self._log = log
        self._on_failing: Callable[[], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._failure: BaseException | None = None
        self.ending = asyncio.Event()
        """Set when the process is to end, whatever the reason."""
        for number in ENDINGS:
            self._loop.add_signal_handler(number, self._on_signal, number)
        self._loop.set_exception_handler(self._unhandled)

    @property
    def has_failed(self) -> bool:
        """Whether it ends because of a failure."""
        return self._failure is not None

    @property
    def problem(self) -> str | None:
        """The failure in a sentence, or None."""
        return None if self._failure is None else str(self._told(self._failure))

    def raise_failure(self) -> None:
        """Raise the failure as a WeighbridgeError; nothing when there was none."""
        if self._failure is not None:
            raise self._told(self._failure) from self._failure

    def fail(self, error: BaseException) -> None:
        """It cannot go on."""
        if self._failure is None:
            self._failure = error
            if not isinstance(error, WeighbridgeError):
                self._log.error("failed", exc_info=error)
            if self._on_failing is not None:
                self._on_failing()
        self.ending.set()

    def when_failing(self, act: Callable[[], None]) -> None:
        """What to do at once, on the loop, when it fails."""
        self._on_failing = act

    def fail_from_thread(self, error: BaseException) -> None:
        """As `fail`, from any thread."""
        self.on_loop(self.fail, error)

    def on_loop(self, act: Callable[..., object], *arguments: object) -> None:
        """Call on the event loop, from any thread; nothing when the loop has ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(act, *arguments)

    def depends_on(self, task: "asyncio.Task[Any]") -> None:
        """The process fails when this task does."""
        task.add_done_callback(self._ended_by_itself)

    def _ended_by_itself(self, task: "asyncio.Task[Any]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.fail(error)

    def _unhandled(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback of ours that failed may have left work undone; anything else is told only."""
        error = context.get("exception")
        self._log.error("unhandled", what=context["message"].split("<")[0], exc_info=error)
        if isinstance(error, Exception) and context.get("handle") is not None:
            self.fail(error)

    def _on_signal(self, number: int) -> None:
        if self.ending.is_set():
            os._exit(128 + number)
        self._log.info("draining", signal=signal.Signals(number).name)
        self.ending.set()

    def _told(self, error: BaseException) -> WeighbridgeError:
        if isinstance(error, WeighbridgeError):
            return error
        return ProcessFailedError(
            f"{self._what} cannot go on: {type(error).__name__}; its log says where.",
            mend="Start it again; it goes on from the committed offsets. If this repeats, it is a "
            "bug.",
        )
