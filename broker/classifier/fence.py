"""The group membership of Faust's consumer, as the transactions carry it.

With it the broker refuses the offsets of a classifier whose partitions have gone to another one.
"""

import time
from typing import Any, Final

from broker.log.group_fence import group_metadata

POLL_S: Final = 0.02


class FaustFence:
    """Reads generation and member id of the aiokafka consumer inside the app; any thread may."""

    def __init__(self, group: str) -> None:
        self._group = group
        self._thread: Any = None

    def watch(self, consumer_thread: Any) -> None:
        """The transport's consumer thread, once there is one."""
        self._thread = consumer_thread

    def is_member(self) -> bool:
        """Whether the group knows us now."""
        return self.current() is not None

    def current(self) -> bytes | None:
        """The metadata for `send_offsets_to_transaction`; None while we have not joined."""
        if self._thread is None:
            return None
        generation, member_id = self._thread.membership()
        if generation < 0 or not member_id:
            return None
        return group_metadata(self._group, generation, member_id)

    def wait_newer(self, than: bytes | None, deadline_s: float) -> bytes | None:
        """Metadata that differ from `than`; None when there were none in time."""
        ends = time.monotonic() + deadline_s
        while True:
            found = self.current()
            if found is not None and found != than:
                return found
            if time.monotonic() >= ends:
                return None
            time.sleep(POLL_S)
