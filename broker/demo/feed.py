"""The two threads beside the picture: one sends what is due, one reads what is answered."""

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final, Self

from broker.load.replay import DuePrompt, send_when_due
from broker.load.sender import PromptSender
from broker.records.completion import Completion
from broker.settings import Settings
from broker.story.following import CompletionFollower

_POLL_S: Final = 0.1
_FLUSH_S: Final = 30.0
_JOIN_S: Final = 10.0


class Feed:
    """Sends a plan and collects its completions; a context manager.

    Made before the first prompt goes out, so that no completion is missed. `failure` is the first
    error of either thread: then nothing more is to be expected of it.
    """

    def __init__(self, settings: Settings, plan: Sequence[DuePrompt]) -> None:
        self._settings = settings
        self._plan = plan
        self._ids = frozenset(prompt.id for prompt in plan)
        self._came: deque[Completion] = deque()
        self._stopping = threading.Event()
        self._following = threading.Event()
        self._beginning = threading.Event()
        self.acknowledged = 0
        self.began_at: float | None = None
        """When the first prompt was due, unix seconds."""
        self.all_sent = threading.Event()
        self.failure: Exception | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(act,), name=name, daemon=True)
            for name, act in (("follow", self._follow), ("send", self._send))
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(_JOIN_S)

    def wait_began(self) -> float:
        """Wait for the first prompt; when it was due, or now when none was in time."""
        self._beginning.wait(_FLUSH_S)
        return self.began_at or time.time()

    def take(self) -> list[Completion]:
        """The completions of the plan that came since the last call."""
        taken = []
        while self._came:
            taken.append(self._came.popleft())
        return taken

    def _guarded(self, act: object) -> None:
        try:
            act()  # type: ignore[operator]  # one of the two below
        except Exception as error:  # noqa: BLE001 - it is shown by whoever draws
            self.failure = self.failure or error
            self._following.set()
            self.all_sent.set()

    def _follow(self) -> None:
        with CompletionFollower(self._settings) as follower:
            self._following.set()
            while not self._stopping.is_set():
                self._came.extend(
                    one.completion
                    for one in follower.poll(_POLL_S)
                    if one.completion.id in self._ids
                )

    def _send(self) -> None:
        self._following.wait(_FLUSH_S)
        if self.failure is not None:
            return

        def counted(_id: str, _partition: int, _offset: int) -> None:
            self.acknowledged += 1

        with PromptSender(self._settings, on_acknowledged=counted) as sender:
            self.began_at = time.time()
            self._beginning.set()
            send_when_due(self._plan, sender, go_on=lambda: not self._stopping.is_set())
            sender.flush(_FLUSH_S)
        self.all_sent.set()
