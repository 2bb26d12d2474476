"""An open-loop sender in a thread: prompts come at their rate, whatever happens to the system."""

import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Final

from broker.load.sender import DeliveryFailedError, PromptSender
from broker.settings import Settings

FLUSH_S: Final = 60.0
WORDS: Final = "Why is the sky blue at noon and red in the evening? "
_HEAVY_EVERY: Final = 25
_MEDIUM_EVERY: Final = 6


class Traffic:
    """Sends prompts until it is stopped, and keeps what Kafka said to each.

    `accepted` has the (monotonic) time at which each id was acknowledged. `unknown` holds those
    that Kafka did not acknowledge: they may have arrived or not.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        rate: float,
        seed: int = 0,
        pin: str | None = None,
        fields: Mapping[str, Any] | None = None,
        kinds: Sequence[Mapping[str, Any]] = ({},),
    ) -> None:
        """Every other prompt is pinned to `pin`, where one is given; all have these `fields`.

        The fields of `kinds` are given to one prompt after the other, in turn.
        """
        self._settings = settings
        self._fields = fields or {}
        self._kinds = kinds
        self._rate = rate
        self._pin = pin
        self._random = Random(seed)
        self._run = f"r{secrets.token_hex(3)}"  # two numbers and a hyphen would be no id
        self._count = 0
        self._stopping = threading.Event()
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = None
        self.accepted: dict[str, float] = {}
        self.unknown: set[str] = set()

    def start(self) -> None:
        """Begin to send, or go on."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._send, name="traffic", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send no more, and wait until the fate of all that was sent is known."""
        if self._thread is None:
            return
        self._stopping.set()
        self._thread.join(FLUSH_S + 10)
        assert not self._thread.is_alive(), "the sender hangs"
        self._thread = None
        if self._error is not None:
            raise self._error

    def burst(self, count: int, **fields: Any) -> list[str]:
        """Send so many at once, from the caller's thread; their ids, all acknowledged."""
        with self._sender() as sender:
            ids = [self._next(sender, fields) for _ in range(count)]
            sender.flush(FLUSH_S)
        return ids

    def accepted_by(self, moment: float) -> set[str]:
        """The ids that were acknowledged by then."""
        return {identity for identity, at in list(self.accepted.items()) if at <= moment}

    def kind_of(self, identity: str) -> Mapping[str, Any]:
        """The fields of `kinds` that the prompt of this id was given."""
        return self._kinds[int(identity.rpartition("-")[2]) % len(self._kinds)]

    def _send(self) -> None:
        try:
            with self._sender() as sender:
                self._loop(sender)
                self._tolerant(lambda: sender.flush(FLUSH_S))
        except BaseException as error:  # noqa: BLE001 - told to whoever stops the traffic
            self._error = error

    def _loop(self, sender: PromptSender) -> None:
        began, sent = time.monotonic(), 0
        while not self._stopping.is_set():
            due = began + sent / self._rate
            wait = due - time.monotonic()
            if wait > 0:
                self._tolerant(lambda wait=wait: sender.poll(min(wait, 0.05)))
                self._stopping.wait(min(max(0.0, due - time.monotonic()), 0.05))
                continue
            self._tolerant(lambda: self._next(sender, {}))
            sent += 1

    def _tolerant(self, act: Any) -> None:
        try:
            act()
        except DeliveryFailedError as failed:
            self.unknown.update(failed.ids)

    def _sender(self) -> PromptSender:
        def note(identity: str, _partition: int, _offset: int) -> None:
            self.accepted[identity] = time.monotonic()

        return PromptSender(self._settings, on_acknowledged=note)

    def _next(self, sender: PromptSender, fields: dict[str, Any]) -> str:
        self._count += 1
        number, identity = self._count, f"{self._run}-{self._count}"
        words, output = 2, self._random.randint(4, 12)
        if number % _HEAVY_EVERY == 0:
            words, output = 150, 2_000
        elif number % _MEDIUM_EVERY == 0:
            words, output = 30, 700
        if self._pin is not None and number % 2:
            fields = {"provider": self._pin, **fields}
        usual = {"prompt": WORDS * words, "max_output_tokens": output}
        kind = self._kinds[number % len(self._kinds)]
        sender.send(identity, {**usual, **self._fields, **kind, **fields})
        return identity
