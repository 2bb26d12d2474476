"""Follows `<prefix>.control` for the cancels, from a day back, on a thread of its own."""

import time
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

from broker.core.cancels import KEEP_S, Cancels
from broker.log.clients import consumer_config
from broker.log.topic_follower import Back, TopicFollower
from broker.log.topic_names import TopicNames
from broker.records.control import Cancel, decode_control
from broker.settings import Settings
from broker.telemetry.logs import get_logger

CATCH_UP_S: Final = 5.0
"""So long at most a start waits for the cancels that are there already."""
_LOOK_S: Final = 0.02


class CancelReader:
    """`cancels` has what was heard, for any thread.

    `on_heard` is called on the reader's thread when there is something to `take`, and not again
    until it was taken.
    """

    def __init__(self, settings: Settings, on_heard: Callable[[], None] | None = None) -> None:
        self.cancels = Cancels()
        self._on_heard = on_heard
        self._heard: set[str] = set()
        self._lock = Lock()
        self._told_forgotten = 0
        topic = TopicNames(settings.kafka.prefix).control
        self._log = get_logger(topic=topic)
        self._follower: TopicFollower[Cancel] = TopicFollower(
            consumer_config(settings), topic, self._hear, back=Back(seconds=KEEP_S), at_once=True
        )

    def start(self) -> None:
        """Begin to follow."""
        self._follower.start()

    def wait_caught_up(self, deadline_s: float = CATCH_UP_S) -> bool:
        """Wait until all cancels that were there are known; False when not in time.

        For another thread than the event loop's.
        """
        ends = time.monotonic() + deadline_s
        while not self._follower.caught_up:
            if time.monotonic() >= ends:
                self._log.warning("cancels_not_read_yet", then="prompts begin without them")
                return False
            time.sleep(_LOOK_S)
        return True

    def take(self) -> set[str]:
        """The ids whose cancels were heard since the last time."""
        with self._lock:
            heard, self._heard = self._heard, set()
        return heard

    def close(self) -> None:
        """Stop following; may take some seconds."""
        self._follower.close()

    def _hear(self, message: Any) -> None:
        """On the follower's thread. All of it is done here: nothing is left to be taken there."""
        asked = decode_control(message.value())
        if asked is None:
            return
        self.cancels.note(asked.id, max(0, message.timestamp()[1]) / 1000.0)
        if self._on_heard is not None:
            with self._lock:
                is_first = not self._heard
                self._heard.add(asked.id)
            if is_first:
                self._on_heard()
        forgotten = self.cancels.forgotten
        if forgotten >= 2 * self._told_forgotten + 1:
            self._told_forgotten = forgotten
            self._log.warning(
                "cancels_forgotten",
                so_far=forgotten,
                why="more were asked within a day than are remembered",
                then="what they name and has not begun yet is done all the same",
            )
