"""Sends an answer, whole or in pieces at its own speed, or spoils it as a fault asks for."""

import asyncio
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from workers.simulator.cloud import Cloud
from workers.simulator.faults import Fault
from workers.simulator.forms.shape import JSON, Events, Route
from workers.simulator.latency import Timing
from workers.simulator.problems import Problem, What
from workers.simulator.writing import Chance

SLOW_PIECE: Final = 8
SPOILT: Final = (Fault.MALFORMED, Fault.STREAM_ERRORS, Fault.CUT_STREAMS)
"""Faults whose answers are no whole ones."""
_HALF: Final = 0.5


class Sending:
    """One answer on its way."""

    def __init__(
        self,
        cloud: Cloud,
        request: web.BaseRequest,
        *,
        route: Route,
        headers: Mapping[str, str],
        chance: Chance,
        fault: Fault | None,
    ) -> None:
        self._cloud = cloud
        self._http = request
        self._route = route
        self._headers = headers
        self._chance = chance
        self._fault = fault
        self._loop = asyncio.get_running_loop()

    async def whole(self, body: bytes) -> web.StreamResponse:
        """Send a body that is ready."""
        fault, place = self._fault, self._chance.place
        if fault is Fault.MALFORMED:
            body = body[: 1 + int(place * (len(body) - 2))]
        elif fault is Fault.STREAM_ERRORS:
            body = self._cloud.forms.error(self._route, Problem(What.HALFWAY)).body
        self._cloud.served.replied(200)
        headers = {**JSON, **self._headers}
        if fault not in (Fault.CUT_STREAMS, Fault.SLOW):
            response = web.Response(body=body, headers=headers)
            await response.prepare(self._http)
            await response.write_eof()
            return response
        slowly = web.StreamResponse(headers=headers)
        slowly.content_length = len(body)
        await slowly.prepare(self._http)
        if fault is Fault.SLOW:
            await self._trickle(slowly, body)
            return slowly
        await slowly.write(body[: 1 + int(place * (len(body) - 2))])
        return self._hang_up(slowly)

    async def stream(
        self, events: Events, longest: int, timing: Timing, chunk_every_s: float
    ) -> web.StreamResponse:
        """Send an answer of `longest` tokens as they come, at most so often."""
        began = self._loop.time()
        fault, place = self._fault, self._chance.place
        headers = {**self._headers, **self._cloud.forms.stream_headers(self._route)}
        response = web.StreamResponse(headers=headers)
        # Whatever spoils a stream comes after this many tokens: one at least, and never all.
        stop = longest if fault not in SPOILT else max(1, int(place * longest))
        await until(self._loop, began + timing.first_token_s)
        self._cloud.served.replied(200)
        await response.prepare(self._http)
        data, sent = events.opening(), 0
        while sent < stop:
            there = min(longest, timing.tokens_at(self._loop.time() - began))
            due = min(stop, max(sent + 1, int(there)))
            data += events.tokens(sent, due)
            sent = due
            if fault is Fault.SLOW or sent >= stop:
                break
            await _write(response, data)
            data = b""
            wait = max(began + timing.until(sent + 1), self._loop.time() + chunk_every_s)
            await until(self._loop, wait)
        if fault is Fault.SLOW:
            await _write(response, data)
            rest = events.tokens(sent, longest) if sent < longest else b""
            await self._trickle(response, rest + events.closing())
            return response
        return await self._end(response, events, data)

    async def _end(
        self, response: web.StreamResponse, events: Events, data: bytes
    ) -> web.StreamResponse:
        """Send the last of it, or what a fault puts in its place."""
        fault = self._fault
        if fault is Fault.CUT_STREAMS:
            await _write(response, data)
            if self._chance.place >= _HALF:
                return self._hang_up(response)
            # As bad, but polite: the body ends properly, the answer does not.
            await response.write_eof()
            return response
        if fault is Fault.MALFORMED:
            data += events.broken()
        elif fault is Fault.STREAM_ERRORS:
            data += events.error(Problem(What.HALFWAY))
        else:
            data += events.closing()
        await response.write_eof(data)
        return response

    async def _trickle(self, response: web.StreamResponse, data: bytes) -> None:
        gap = self._cloud.faults.settings.slow_gap_s
        last = max(0, len(data) - SLOW_PIECE)
        for place in range(0, last, SLOW_PIECE):
            await response.write(data[place : min(place + SLOW_PIECE, last)])
            await asyncio.sleep(gap)
        # The end comes with the last bytes: who has read all of it does not wait for more.
        await response.write_eof(data[last:])

    def _hang_up(self, response: web.StreamResponse) -> web.StreamResponse:
        """End the connection after what has been written."""
        transport = self._http.transport
        if transport is not None:
            transport.close()
        return response


async def _write(response: web.StreamResponse, data: bytes) -> None:
    if data:  # an empty chunk would end the body
        await response.write(data)


def gone(request: web.BaseRequest) -> web.StreamResponse:
    """Reset the connection; the response that is returned goes nowhere."""
    transport = request.transport
    if transport is not None:
        transport.abort()
    return web.Response()


async def until(loop: asyncio.AbstractEventLoop, at: float) -> None:
    """Wait until the loop's time is `at`."""
    wait = at - loop.time()
    if wait > 0:
        await asyncio.sleep(wait)
