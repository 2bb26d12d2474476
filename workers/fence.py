"""The consumer's membership as the committer's fence: kept by the reading thread, read by others.

Every call of the consumer belongs to the thread that polls (confluent-kafka 2.16 may starve any
other for ever), so that thread leaves a copy here.
"""

import threading
import time

from broker.log.group_fence import generation_of


class CachedFence:
    """The newest group metadata; None until the consumer has joined its group."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._metadata: bytes | None = None

    def current(self) -> bytes | None:
        """The newest metadata."""
        return self._metadata

    def update(self, metadata: bytes) -> None:
        """Take what the consumer says of itself now (reading thread)."""
        joined = metadata if generation_of(metadata) >= 0 else None
        if joined != self._metadata:
            with self._condition:
                self._metadata = joined
                self._condition.notify_all()

    def wait_newer(self, than: bytes | None, deadline_s: float) -> bytes | None:
        """Wait until the metadata differs from `than`; the newest then, or None at the deadline."""
        ends = time.monotonic() + deadline_s
        with self._condition:
            while self._metadata is None or self._metadata == than:
                left = ends - time.monotonic()
                if left <= 0 or not self._condition.wait(left):
                    return None
            return self._metadata
