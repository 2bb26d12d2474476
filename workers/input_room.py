"""How many bytes of prompts' inputs a worker holds at once: who does not fit waits in line."""

import asyncio
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    key: Hashable
    size: int
    given: "asyncio.Future[None]"


class InputRoom:
    """Room for `most` bytes, each share under a key. Used on the event loop.

    What is larger than all of it is let in alone.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._shares: dict[Any, int] = {}
        self._held = 0
        self._line: deque[_Waiting] = deque()

    @property
    def held(self) -> int:
        """Bytes that are given out."""
        return self._held

    async def take(self, key: Hashable, size: int) -> None:
        """Wait for so many bytes, first come, first served.

        There is no deadline but that of the caller: whoever is in front ends within the limits of
        its call.
        """
        if not self._line and self._fits(size):
            self._give(key, size)
            return
        waiting = _Waiting(key, size, asyncio.get_running_loop().create_future())
        self._line.append(waiting)
        try:
            await waiting.given
        except BaseException:
            if waiting in self._line:
                self._line.remove(waiting)
                self._let_in()
            else:
                self.give_back(key)  # it was given in the moment in which its caller gave up
            raise

    def give_back(self, key: Hashable) -> None:
        """The share of this key is free again, if it has one."""
        self._held -= self._shares.pop(key, 0)
        self._let_in()

    def _fits(self, size: int) -> bool:
        return not self._held or self._held + size <= self._most

    def _give(self, key: Hashable, size: int) -> None:
        self._shares[key] = self._shares.get(key, 0) + size
        self._held += size

    def _let_in(self) -> None:
        while self._line and self._fits(self._line[0].size):
            first = self._line.popleft()
            if not first.given.done():
                self._give(first.key, first.size)
                first.given.set_result(None)
