"""Answers one call over HTTP: waits as the model says, and does wrong what a fault asks for."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from workers.simulator.chat_reply import Completion, Events, error_event, whole_body
from workers.simulator.chat_request import ApiError, ChatRequest, parse_chat
from workers.simulator.cloud import Chance, Cloud
from workers.simulator.faults import Fault
from workers.simulator.latency import Timing
from workers.simulator.slots import QueueFullError

ID_HEADER: Final = "x-weighbridge-id"
LONGEST_ID: Final = 256
"""Characters of a prompt's id that are remembered: more than any prompt of ours has."""

HANG_S: Final = 3_600.0
"""A call that is never answered is given up after this, for the client cannot still be there."""

SLOW_PIECE: Final = 8
_JSON: Final = {"Content-Type": "application/json"}
_EVENTS: Final = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
_HALF: Final = 0.5
_HANGS: Final = (Fault.HANGS, Fault.OUTAGE_HANG)
_SPOILT: Final = (Fault.MALFORMED, Fault.STREAM_ERRORS, Fault.CUT_STREAMS)


class Call:
    """One call of one cloud, from its request to its end."""

    def __init__(self, cloud: Cloud, request: web.BaseRequest, chunk_every_s: float) -> None:
        self._cloud = cloud
        self._http = request
        self._chunk_every_s = chunk_every_s
        self._loop = asyncio.get_running_loop()
        self._id = _prompt_id(request)

    async def run(self) -> web.StreamResponse:
        """Answer it, and count it."""
        body = await self._http.read()
        served = self._cloud.served
        chance = self._cloud.chance(self._id, served.begin(self._id))
        fault = self._cloud.faults.choose(chance.fault, time.time())
        outcome = "abandoned"
        try:
            response = await self._answer(body, chance, fault)
            outcome = "ok" if fault is None else fault.value
        except ApiError as error:
            outcome = error.code or f"status_{error.status}" if fault is None else fault.value
            served.replied(error.status)
            return web.Response(
                status=error.status, body=error.body, headers={**_JSON, **error.headers}
            )
        except ConnectionError:
            return self._gone()
        else:
            return response
        finally:
            served.end(outcome)

    async def _answer(self, body: bytes, chance: Chance, fault: Fault | None) -> web.StreamResponse:
        if fault in _HANGS:
            await asyncio.sleep(HANG_S)
            return self._gone()
        if fault is Fault.OUTAGE_CUT:
            return self._gone()
        if fault is not None:
            self._turn_away(fault)
        request = parse_chat(body)
        try:
            async with self._cloud.slots:
                completion, timing = self._cloud.answer(request, self._id, chance, fault)
                began = self._loop.time()
                if fault is Fault.CUTS:
                    await _until(self._loop, began + timing.first_token_s)
                    return self._gone()
                if request.stream:
                    response = await self._stream(request, completion, timing, chance, fault)
                else:
                    await _until(self._loop, began + timing.until(completion.longest))
                    response = await self._whole(completion, chance, fault)
        except QueueFullError:
            raise ApiError(
                429,
                "Concurrency limit reached for requests.",
                code="rate_limit_exceeded",
                kind="requests",
                headers=_retry_after(1.0),
            ) from None
        if fault not in _SPOILT:
            self._cloud.served.answer(self._id, completion.input_tokens, completion.output_tokens)
        return response

    def _turn_away(self, fault: Fault) -> None:
        """Raise the error of a fault that is one."""
        settings = self._cloud.faults.settings
        if fault is Fault.RATE_LIMITED:
            raise ApiError(
                429,
                "Rate limit reached for requests.",
                code="rate_limit_exceeded",
                kind="requests",
                headers=_retry_after(settings.retry_after_s),
            )
        if fault is Fault.SERVER_ERRORS:
            raise ApiError(
                settings.server_error_status,
                "The server had an error while processing your request.",
                kind="server_error",
            )
        if fault is Fault.OUTAGE:
            raise ApiError(
                503,
                "The server is overloaded or not ready yet.",
                code="server_is_overloaded",
                kind="server_error",
            )
        if fault is Fault.REFUSED:
            raise ApiError(
                400,
                "The response was filtered due to the prompt triggering the content policy.",
                code="content_filter",
                param="prompt",
            )
        if fault is Fault.TOO_LONG:
            raise self._cloud.too_long(0)

    async def _whole(
        self, completion: Completion, chance: Chance, fault: Fault | None
    ) -> web.StreamResponse:
        body = whole_body(completion)
        if fault is Fault.MALFORMED:
            body = body[: 1 + int(chance.place * (len(body) - 2))]
        elif fault is Fault.STREAM_ERRORS:
            body = _mid_stream_error().body
        self._cloud.served.replied(200)
        if fault not in (Fault.CUT_STREAMS, Fault.SLOW):
            response = web.Response(body=body, headers=_JSON)
            await response.prepare(self._http)
            await response.write_eof()
            return response
        slowly = web.StreamResponse(headers=_JSON)
        slowly.content_length = len(body)
        await slowly.prepare(self._http)
        if fault is Fault.SLOW:
            await self._trickle(slowly, body)
            return slowly
        await slowly.write(body[: 1 + int(chance.place * (len(body) - 2))])
        return self._hang_up(slowly)

    async def _stream(
        self,
        request: ChatRequest,
        completion: Completion,
        timing: Timing,
        chance: Chance,
        fault: Fault | None,
    ) -> web.StreamResponse:
        began = self._loop.time()
        response = web.StreamResponse(headers=_EVENTS)
        events = Events(completion, include_usage=request.include_usage)
        longest = completion.longest
        # Whatever spoils a stream comes after this many tokens: one at least, and never all.
        stop = longest if fault not in _SPOILT else max(1, int(chance.place * longest))
        await _until(self._loop, began + timing.first_token_s)
        self._cloud.served.replied(200)
        await response.prepare(self._http)
        data, sent = events.opening(), 0
        while sent < stop:
            due = min(stop, max(sent + 1, int(min(longest, self._due(timing, began)))))
            data += events.tokens(sent, due)
            sent = due
            if fault is Fault.SLOW or sent >= stop:
                break
            await response.write(data)
            data = b""
            wait = max(began + timing.until(sent + 1), self._loop.time() + self._chunk_every_s)
            await _until(self._loop, wait)
        if fault is Fault.SLOW:
            await response.write(data)
            await self._trickle(response, events.tokens(sent, longest) + events.closing())
            return response
        if fault is Fault.CUT_STREAMS:
            await response.write(data)
            if chance.place < _HALF:
                # As bad, but polite: the body ends properly, the answer does not.
                await response.write_eof()
                return response
            return self._hang_up(response)
        if fault is Fault.MALFORMED:
            data += events.broken()
        elif fault is Fault.STREAM_ERRORS:
            data += error_event(_mid_stream_error().body)
        else:
            data += events.closing()
        await response.write_eof(data)
        return response

    def _due(self, timing: Timing, began: float) -> float:
        return timing.tokens_at(self._loop.time() - began)

    async def _trickle(self, response: web.StreamResponse, data: bytes) -> None:
        gap = self._cloud.faults.settings.slow_gap_s
        last = max(0, len(data) - SLOW_PIECE)
        for place in range(0, last, SLOW_PIECE):
            await response.write(data[place : min(place + SLOW_PIECE, last)])
            await asyncio.sleep(gap)
        # The end comes with the last bytes: who has read `[DONE]` does not wait for it.
        await response.write_eof(data[last:])

    def _hang_up(self, response: web.StreamResponse) -> web.StreamResponse:
        """End the connection after what has been written."""
        transport = self._http.transport
        if transport is not None:
            transport.close()
        return response

    def _gone(self) -> web.StreamResponse:
        """Reset the connection; the response that is returned goes nowhere."""
        transport = self._http.transport
        if transport is not None:
            transport.abort()
        return web.Response()


def _prompt_id(request: web.BaseRequest) -> str | None:
    given = request.headers.get(ID_HEADER)
    if given is None:
        return None
    # Bytes that are no UTF-8 come as lone surrogates, which cannot be shown again.
    return given[:LONGEST_ID].encode("utf-8", "replace").decode()


async def _until(loop: asyncio.AbstractEventLoop, at: float) -> None:
    wait = at - loop.time()
    if wait > 0:
        await asyncio.sleep(wait)


def _mid_stream_error() -> ApiError:
    return ApiError(
        500, "The server had an error while generating the answer.", kind="server_error"
    )


def _retry_after(seconds: float) -> Mapping[str, str]:
    # Whole seconds for those who know only the standard, and exactly for those who know OpenAI.
    return {"Retry-After": str(-int(-seconds // 1)), "Retry-After-Ms": str(round(seconds * 1000))}
