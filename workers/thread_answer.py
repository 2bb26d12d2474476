"""A blocking question asked on a thread of its own, which may be given up."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar

T = TypeVar("T")


class ThreadAnswer(Generic[T]):
    """One question at a time. Used on the event loop.

    A daemon thread, not the loop's executor: a question that hangs must not hold the process's end.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        """Whether the last question has not been answered, though nobody may wait for it."""
        return self._thread is not None and self._thread.is_alive()

    async def ask(self, question: Callable[[], T], deadline_s: float) -> T:
        """The answer, or what the question raised; raises TimeoutError, also while it is busy."""
        if self.is_busy:
            raise TimeoutError
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[T] = loop.create_future()

        def run() -> None:
            told: tuple[T] | Exception
            try:
                told = (question(),)
            except Exception as error:  # noqa: BLE001 - the asker's, who gets it
                told = error
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_tell, answered, told)

        self._thread = threading.Thread(target=run, name=self._name, daemon=True)
        self._thread.start()
        async with asyncio.timeout(deadline_s):
            return await answered


def _tell(answered: asyncio.Future[T], told: tuple[T] | Exception) -> None:
    if answered.done():
        return
    if isinstance(told, tuple):
        answered.set_result(told[0])
    else:
        answered.set_exception(told)
