"""Children that are started together, restarted alone, and ended in order."""

import asyncio
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import aiohttp

from broker.records.errors import NotReadyError, UsageError
from broker.supervisor.child import Child, ChildSpec

EventKind = Literal["started", "ready", "died", "stopping", "stopped", "killed"]
STARTS = 3
"""A child that is started once more than this, and was never ready, will not come up."""
USAGE = 2
"""The exit code of a command whose arguments or settings are wrong: it would end so again."""
SETTLE_S = 5.0
"""How long a child that was sent SIGKILL may take to be gone."""


@dataclass(frozen=True, slots=True)
class ChildEvent:
    """Something happened to a child; `text` is a sentence for a person."""

    name: str
    kind: EventKind
    text: str


class Supervisor:
    """Keeps children running until `stop`. Use as an async context manager."""

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        *,
        log_folder: Path,
        on_event: Callable[[ChildEvent], None],
    ) -> None:
        self._children = {spec.name: Child(spec, log_folder) for spec in specs}
        self._on_event = on_event
        self._stopping = False
        self._keepers: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_unused: object) -> None:
        await self.stop(drain_s=0.0)
        # Whatever a `stop` that was cut short has left.
        await self._end(list(self._children.values()), 0.0)
        if self._session is not None:
            await self._session.close()

    @property
    def children(self) -> dict[str, Child]:
        """Every child by name."""
        return self._children

    async def start(self, *, deadline_s: float) -> None:
        """Start all and wait until each is ready; raises NotReadyError with the log's end."""
        for child in self._children.values():
            try:
                await child.start()
            except OSError as error:
                raise NotReadyError(
                    f"{child.spec.name} cannot be started: {error.strerror or error}.",
                    mend=f"Check the free memory, and that {child.log_file} can be written.",
                ) from error
            self._keepers.append(asyncio.create_task(self._keep(child)))
        try:
            async with asyncio.timeout(deadline_s):
                while not all(child.ready for child in self._children.values()):
                    self._refuse_hopeless()
                    await asyncio.sleep(0.05)
        except TimeoutError:
            late = next(child for child in self._children.values() if not child.ready)
            raise NotReadyError(
                f"{late.spec.name} was not ready within {deadline_s:.0f} s. Its log ends:\n"
                f"{late.last_lines()}",
                mend=f"The whole log is {late.log_file}.",
            ) from None

    def _refuse_hopeless(self) -> None:
        for child in self._children.values():
            if not child.ready and (child.starts > STARTS or child.last_code == USAGE):
                raise NotReadyError(
                    f"{child.spec.name} keeps ending as it starts. Its log ends:\n"
                    f"{child.last_lines()}",
                    mend=f"The whole log is {child.log_file}.",
                )

    async def _keep(self, child: Child) -> None:
        if self._session is None:
            raise UsageError("The supervisor is not open.", mend="Use it as a context manager.")
        while True:
            waiting = asyncio.create_task(self._announce_ready(child, self._session))
            try:
                code = await child.wait()
            finally:
                waiting.cancel()
            delay = child.backoff.died(time.monotonic())
            when = "at once" if delay == 0 else f"in {delay:.1f} s"
            self._say(child, "died", f"{_ending(code)}; it starts again {when}")
            await asyncio.sleep(delay)
            await self._start_again(child)

    async def _start_again(self, child: Child) -> None:
        while True:
            try:
                await child.start()
            except OSError as error:
                # No memory or too many processes for now, or the disk of its log is full.
                delay = child.backoff.died(time.monotonic())
                why = error.strerror or type(error).__name__
                self._say(child, "died", f"cannot be started: {why}; again in {delay:.1f} s")
                await asyncio.sleep(delay)
            else:
                self._say(child, "started", f"started again (pid {child.pid})")
                return

    async def _announce_ready(self, child: Child, session: aiohttp.ClientSession) -> None:
        await child.wait_ready(session)
        if child.ready:
            self._say(child, "ready", f"ready (pid {child.pid})")

    def kill(self, name: str, number: signal.Signals = signal.SIGKILL) -> int | None:
        """Send a signal to a child, as a fault; its pid, or None when it is not running."""
        child = self._children[name]
        pid = child.pid
        if pid is None or not child.send(number):
            return None
        self._say(child, "killed", f"was sent {number.name} (pid {pid})")
        return pid

    async def stop(self, *, drain_s: float, last: Sequence[str] = ()) -> bool:
        """End the children: SIGTERM, then SIGKILL for those that do not end within `drain_s`.

        Those named in `last` are ended after the others. Returns True when all drained by
        themselves.
        """
        if self._stopping:
            return True
        self._stopping = True
        # First, so that no child is started behind the back of what follows.
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        clean = True
        names = list(self._children)
        for group in ([n for n in names if n not in last], [n for n in names if n in last]):
            clean = await self._end([self._children[name] for name in group], drain_s) and clean
        return clean

    async def _end(self, children: list[Child], drain_s: float) -> bool:
        running = [child for child in children if child.pid is not None]
        number = signal.SIGTERM if drain_s > 0 else signal.SIGKILL
        for child in running:
            child.send(number)
        endings = [asyncio.create_task(child.wait()) for child in running]
        if not endings:
            return True
        _, late = await asyncio.wait(endings, timeout=drain_s or SETTLE_S)
        for child in running:
            if child.pid is not None:
                self._say(child, "killed", f"did not end within {drain_s:.0f} s")
                child.send(signal.SIGKILL)
        if late:
            await asyncio.wait(late, timeout=SETTLE_S)
        return not late and all(task.result() == 0 for task in endings)

    def _say(self, child: Child, kind: EventKind, text: str) -> None:
        self._on_event(ChildEvent(child.spec.name, kind, text))


def _ending(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"
