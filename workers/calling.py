"""One call of a provider over HTTP: an answer, or a failure with a name. It decides nothing."""

import asyncio
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from yarl import URL

from broker.core.retries import Transport
from broker.records.work import Work
from workers.exchange import CallLimits, Exchange
from workers.providers.dialect import (
    Adapter,
    Answer,
    CutStreamError,
    ErrorReply,
    HttpRequest,
    MalformedReplyError,
)

MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
"""Longest reply that is read; a provider that never ends must not fill the memory."""
_BIG_BODY: Final = 1024 * 1024
_ERRORS_FROM: Final = 300
_KEEP_ALIVE_S: Final = 60.0
_DNS_CACHE_S: Final = 60
_TRACE_ID: Final = "x-weighbridge-id"
_TRACE_ATTEMPT: Final = "x-weighbridge-attempt"


@dataclass(frozen=True, slots=True)
class CallResult:
    """How a call ended: `answer`, or why there is none. Times are seconds.

    `expired`: the prompt's own deadline cut it. `message` is for the prompt's sender.
    """

    seconds: float
    first_token_s: float | None = None
    answer: Answer | None = None
    status: int | None = None
    code: str | None = None
    kind: str = "provider_error"
    message: str = field(repr=False, default="")
    transport: Transport | None = None
    retry_after_s: float | None = None
    expired: bool = False


class ProviderClient:
    """One provider's address, dialect and connections. Made and used inside the event loop.

    There is no limit on connections: whoever calls has a slot.
    """

    def __init__(
        self,
        *,
        base_url: str,
        adapter: Adapter,
        limits: CallLimits,
        api_key: str | None,
        models: Mapping[str, str],
        trace_headers: bool,
    ) -> None:
        self._base = base_url
        self._urls: dict[str, URL] = {}
        self._adapter = adapter
        self._limits = limits
        self._api_key = api_key
        self._models = models
        self._trace = trace_headers
        # Both are bounded by the timer of the call itself, which also knows the prompt's deadline.
        self._timeout = aiohttp.ClientTimeout(
            total=None, connect=limits.connect, sock_connect=limits.connect, sock_read=None
        )
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0,
                ttl_dns_cache=_DNS_CACHE_S,
                keepalive_timeout=_KEEP_ALIVE_S,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "weighbridge", "Accept": "application/json"},
            skip_auto_headers=("Accept-Encoding",),
            timeout=self._timeout,
        )

    def provider_model(self, alias: str) -> str | None:
        """The provider's own name of a model; None when it does not serve it."""
        return self._models.get(alias)

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()

    async def call(self, work: Work, attempt: int) -> CallResult:
        """Ask once. Returns within the limits and the prompt's deadline, whatever happens."""
        began = time.monotonic()
        exchange = Exchange(self._limits, work.deadline)
        trace = {_TRACE_ID: work.id, _TRACE_ATTEMPT: str(attempt)} if self._trace else {}
        try:
            request = self._adapter.request(
                work, model=self._models[work.model], api_key=self._api_key, trace=trace
            )
            answer = await self._exchange(exchange, work, request)
        except ErrorReply as error:
            return CallResult(
                seconds=time.monotonic() - began,
                first_token_s=exchange.first_token_s,
                status=error.status,
                code=error.code,
                kind=error.type,
                message=error.message,
                retry_after_s=error.retry_after_s,
            )
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            transport, expired = exchange.failed_by(error)
        except CutStreamError:
            transport, expired = Transport.STREAM_CUT, False
        except MalformedReplyError:
            transport, expired = Transport.MALFORMED, False
        else:
            return CallResult(
                time.monotonic() - began, exchange.first_token_s, answer, exchange.status
            )
        return CallResult(
            seconds=time.monotonic() - began,
            first_token_s=exchange.first_token_s,
            status=exchange.status,
            code=transport.value,
            kind="transport",
            message=_SENTENCES[transport],
            transport=transport,
            expired=expired,
        )

    async def _exchange(self, exchange: Exchange, work: Work, request: HttpRequest) -> Answer:
        url = self._urls.get(request.path)
        if url is None:
            url = self._urls[request.path] = URL(self._base + request.path)
        body = request.body if len(request.body) < _BIG_BODY else io.BytesIO(request.body)
        async with (
            asyncio.timeout_at(exchange.begin()) as timer,
            self._session.post(
                url, data=body, headers=request.headers, allow_redirects=False
            ) as reply,
        ):
            exchange.answered(reply.status)
            if request.streamed and reply.status < _ERRORS_FROM:
                return await self._read_stream(exchange, timer, work, reply)
            data = await _read_whole(exchange, timer, reply)
            if reply.status >= _ERRORS_FROM:
                raise self._adapter.error(reply.status, reply.headers, data)
            return self._adapter.answer(work, data)

    async def _read_stream(
        self,
        exchange: Exchange,
        timer: asyncio.Timeout,
        work: Work,
        reply: aiohttp.ClientResponse,
    ) -> Answer:
        assembler = self._adapter.assembler(work)
        size = 0
        exchange.streaming = True
        exchange.first_token_s = None
        while not assembler.ended:
            timer.reschedule(exchange.next_bytes())
            data = await reply.content.readany()
            if not data:
                break
            size += len(data)
            if size > MAX_ANSWER_BYTES:
                raise MalformedReplyError("The answer is too long to be one.")
            assembler.feed(data)
            if assembler.begun and exchange.first_token_s is None:
                exchange.token()
        return assembler.answer()


async def _read_whole(
    exchange: Exchange, timer: asyncio.Timeout, reply: aiohttp.ClientResponse
) -> bytes:
    content = reply.content
    if content.is_eof():  # the body came with the head: most of the time
        return await reply.read()
    parts: list[bytes] = []
    size = 0
    while not content.at_eof():
        timer.reschedule(exchange.next_bytes())
        part = await content.readany()
        parts.append(part)
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            raise MalformedReplyError("The answer is too long to be one.")
    return b"".join(parts)


_SENTENCES: Final[Mapping[Transport, str]] = {
    Transport.CONNECT: "The provider could not be reached.",
    Transport.FIRST_BYTE_TIMEOUT: "The provider did not begin to answer in time.",
    Transport.BETWEEN_BYTES_TIMEOUT: "The provider stopped in the middle of its answer.",
    Transport.TOTAL_TIMEOUT: "The provider did not finish its answer in time.",
    Transport.CUT: "The provider closed the connection before its answer was whole.",
    Transport.MALFORMED: "The provider's answer is not in the form it promises.",
    Transport.STREAM_CUT: "The provider's stream ended before its answer was whole.",
}
