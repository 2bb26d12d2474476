"""Prompts into one deployment when they are due, come what may, and their completions out."""

import asyncio
import math
import secrets
import threading
import time
from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from broker.bench.arrivals import Arrivals, Watch
from broker.bench.failing import MeasurementFailedError
from broker.bench.figures import quantile
from broker.bench.prompts import with_id
from broker.load.sender import PromptSender
from broker.log.topic_names import TopicNames
from broker.settings import Settings

ANSWERED_S: Final = 60.0
"""How long after the last prompt all have to be answered."""
LATE_MS: Final = 5.0
LATE_SHARE: Final = 0.1
"""A generator was late itself when the 99th of a hundred prompts went out later than both: these
milliseconds, and this share of the latency that the 99th had."""
_LOOK_S: Final = 0.02
_HEAD_START_S: Final = 0.2
_LONGEST_SLEEP_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Load:
    """What to send: `bodies[i]` (a prompt without its id) is due `due_s[i]` after the beginning."""

    due_s: Sequence[float]
    bodies: Sequence[bytes]

    @property
    def seconds(self) -> float:
        """From the beginning to the last prompt."""
        return self.due_s[-1] if self.due_s else 0.0


def steady(rate: float, seconds: float, bodies: Sequence[bytes]) -> Load:
    """`rate` prompts a second at constant distances."""
    count = max(1, round(rate * seconds))
    return Load(
        [number / rate for number in range(count)],
        [bodies[number % len(bodies)] for number in range(count)],
    )


@dataclass(frozen=True, slots=True)
class Offered:
    """How a load went. Latencies run from when a prompt was due, not from when it went out.

    `late_ms` is by how much prompts were handed over after they were due, in rising order: the
    generator's own fault. `cut` means that the load was ended early because it could not hold.
    """

    watch: Watch
    late_ms: Sequence[float]
    cut: bool

    def latencies_ms(self, numbers: Sequence[int] | None = None) -> list[float]:
        """In rising order, of all or of these prompts; infinite where no completion came."""
        watch = self.watch
        which = range(len(self.late_ms)) if numbers is None else numbers
        return sorted(
            (watch.at[n] - watch.due[n]) * 1000 if watch.at[n] else math.inf for n in which
        )

    def sentence(self) -> str:
        """The latencies for a person, and whether the generator was late itself."""
        ordered = self.latencies_ms()
        figures = ", ".join(
            f"{name} {quantile(ordered, share):.1f}"
            for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        )
        late = quantile(self.late_ms, 0.99)
        own = f"generator p50 {quantile(self.late_ms, 0.5):.1f}, p99 {late:.1f} ms after schedule"
        was_late = late > max(LATE_MS, LATE_SHARE * quantile(ordered, 0.99))
        warned = "; IT WAS LATE ITSELF, so these latencies are too high" if was_late else ""
        return f"{len(ordered):,} prompts, ms {figures}; {own}{warned}"


class OpenLoop:
    """The generator and the reader of one deployment; a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._arrivals = Arrivals(settings, TopicNames(settings.kafka.prefix).completions)
        self._sender = PromptSender(settings)
        self._stopping = threading.Event()

    def __enter__(self) -> Self:
        self._arrivals.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._arrivals.__exit__()
        self._sender.close()

    def begin(self, load: Load, *, slow_s: float = 1.0) -> Watch:
        """A new run of this load, whose first prompt is due in a moment."""
        begins = time.monotonic() + _HEAD_START_S
        due = array("d", [begins + after for after in load.due_s])
        watch = Watch(f"b{secrets.token_hex(4)}", len(due), due, slow_s)
        self._arrivals.watch(watch)
        return watch

    async def offer(
        self, load: Load, *, watch: Watch | None = None, slow_share: float | None = None
    ) -> Offered:
        """Send it and wait until all is answered.

        With `slow_share` it is cut short as soon as more than this share of all is slow, or due
        for so long without a completion. Raises MeasurementFailedError for prompts that are not
        answered within a minute, answered twice, or not as succeeded.
        """
        watch = watch or self.begin(load)
        cutting = threading.Event()
        sending = asyncio.create_task(asyncio.to_thread(self._send, watch, load.bodies, cutting))
        try:
            while not sending.done():
                await asyncio.wait((sending,), timeout=_LOOK_S)
                if slow_share is not None and _overdue(watch) > slow_share * watch.count:
                    cutting.set()
            late_ms = await sending
        finally:
            cutting.set()
            await asyncio.gather(sending, return_exceptions=True)
        await self._until_answered(watch, len(late_ms))
        return Offered(watch, sorted(late_ms), cut=len(late_ms) < watch.count)

    def watch(self, watch: Watch) -> None:
        """Take notes of this run's completions from now on."""
        self._arrivals.watch(watch)

    async def fill(self, bodies: Sequence[bytes], *, run: str) -> None:
        """Send all at once, as prompts of this run; returns when Kafka has acknowledged them."""
        await asyncio.to_thread(self._fill, run, bodies)

    async def answered(self, watch: Watch, *, deadline_s: float = ANSWERED_S) -> None:
        """Wait until every prompt of a run that was sent whole is answered, as `offer` does."""
        await self._until_answered(watch, watch.count, deadline_s)

    async def _until_answered(
        self, watch: Watch, sent: int, deadline_s: float = ANSWERED_S
    ) -> None:
        ends = time.monotonic() + deadline_s
        while watch.came < sent:
            self._arrivals.check()
            if time.monotonic() > ends:
                raise MeasurementFailedError(
                    f"{sent - watch.came:,} of {sent:,} prompts were not answered "
                    f"within {deadline_s:.0f} s.",
                    mend="Look into the children's logs with --keep.",
                )
            await asyncio.sleep(_LOOK_S)
        if watch.doubled or watch.failed:
            raise MeasurementFailedError(
                f"Of {sent:,} prompts {watch.doubled} were answered twice and {watch.failed} "
                "failed: such a deployment is not worth measuring.",
                mend="Look into the children's logs with --keep.",
            )

    def _send(self, watch: Watch, bodies: Sequence[bytes], cutting: threading.Event) -> list[float]:
        sender, late_ms = self._sender, []
        for number, due in enumerate(watch.due):
            while (left := due - time.monotonic()) > 0 and not cutting.is_set():
                time.sleep(min(left, _LONGEST_SLEEP_S))
            if cutting.is_set():
                break
            late_ms.append(max(0.0, -left) * 1000)
            identity = f"{watch.run}-{number}"
            sender.send_value(identity, with_id(identity, bodies[number]))
        sender.flush(ANSWERED_S)
        return late_ms

    def _fill(self, run: str, bodies: Sequence[bytes]) -> None:
        for number, body in enumerate(bodies):
            if self._stopping.is_set():
                return
            identity = f"{run}-{number}"
            self._sender.send_value(identity, with_id(identity, body))
        self._sender.flush(ANSWERED_S)


async def open_loop(settings: Settings) -> OpenLoop:
    """An OpenLoop, made beside the event loop: asking the cluster takes its time.

    Raises NotReadyError when the cluster does not answer or the topics are not there.
    """
    return await asyncio.to_thread(OpenLoop, settings)


def _overdue(watch: Watch) -> int:
    """At least so many prompts are slow: those that came late, and those long due and not here."""
    long_ago = time.monotonic() - watch.slow_s
    return watch.slow + max(0, bisect_right(watch.due, long_ago) - watch.came)
