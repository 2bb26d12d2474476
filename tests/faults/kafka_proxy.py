"""A TCP proxy before a broker that knows where requests begin, and holds back the one it is told.

It has its own event loop in a thread. What it holds is one request (the broker never saw it) or
one answer (the broker did what it was asked, and the client does not know); whatever comes after on
the same connection waits behind it, as on a network that stalls.
"""

import asyncio
import contextlib
import struct
import threading
from dataclasses import dataclass
from enum import Enum
from typing import Final, Self

SYNC_GROUP: Final = 14
ADD_OFFSETS_TO_TXN: Final = 25
END_TXN: Final = 26
_START_S: Final = 10.0
_HEAD: Final = struct.Struct(">ihhi")  # length, API key, version, correlation id


class Then(Enum):
    """What becomes of what was held."""

    LET_GO = "let go"
    CUT = "cut"


@dataclass(slots=True)
class Hold:
    """One order: the first request with this key is held, or its answer."""

    key: int
    answer: bool
    then: Then
    seconds: float
    correlation: int | None = None


class KafkaProxy:
    """A context manager; `address` is what clients are to be told."""

    def __init__(self, broker: tuple[str, int]) -> None:
        self._broker = broker
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._started = threading.Event()
        self._order: Hold | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = threading.Event()
        self.held = threading.Event()
        """Set while and after something is held."""
        self.over = threading.Event()
        """Set once it was let go or cut."""
        self.address = ""

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(_START_S), "the proxy does not start"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_S)

    def hold(self, key: int, *, answer: bool, then: Then, seconds: float) -> None:
        """Hold the next request of this kind, or its answer, for so long."""
        self.held.clear()
        self.over.clear()
        self._order = Hold(key, answer, then, seconds)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._connected, "127.0.0.1", 0)
        )
        host, port = server.sockets[0].getsockname()[:2]
        self.address = f"{host}:{port}"
        self._started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _connected(
        self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter
    ) -> None:
        try:
            broker, to_broker = await asyncio.open_connection(*self._broker)
        except OSError:
            to_client.close()
            return
        pumps = {
            asyncio.ensure_future(self._requests(client, to_broker)),
            asyncio.ensure_future(self._answers(broker, to_client)),
        }
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for writer in (to_client, to_broker):
                writer.transport.abort()

    async def _requests(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await source.readexactly(_HEAD.size)
                length, key, _version, correlation = _HEAD.unpack(head)
                rest = await source.readexactly(length + 4 - _HEAD.size)
                order = self._order
                if order is not None and order.key == key and order.correlation is None:
                    order.correlation = correlation
                    if not order.answer and not await self._held(order):
                        return
                to.write(head + rest)
                await to.drain()

    async def _answers(self, source: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await source.readexactly(8)
                length, correlation = struct.unpack(">ii", head)
                rest = await source.readexactly(length - 4)
                order = self._order
                wanted = order is not None and order.answer and order.correlation == correlation
                if order is not None and wanted and not await self._held(order):
                    return
                to.write(head + rest)
                await to.drain()

    async def _held(self, order: Hold) -> bool:
        """Hold for the time of the order; whether to go on afterwards."""
        self.held.set()
        try:
            await asyncio.sleep(order.seconds)
        finally:
            self._order = None
            self.over.set()
        return order.then is Then.LET_GO
