"""One call of a provider over HTTP: an answer, or a failure with a name. It decides nothing."""

import asyncio
import io
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import aiohttp
from yarl import URL

from broker.core.call_costs import EndedCall
from broker.core.retries import RetryTable, Transport
from broker.records.usage import Usage
from broker.records.work import Work
from broker.settings.providers import ServedModel
from workers import reply_reading as reading
from workers.credentials import Credential, without_key
from workers.exchange import SENTENCES, CallLimits, Exchange
from workers.providers.dialect import (
    Adapter,
    Answer,
    CutStreamError,
    ErrorReply,
    HttpRequest,
    LimitsSeen,
    MalformedReplyError,
    Reply,
)
from workers.stream_ends import StreamEnds, transport_of

_BIG_BODY: Final = 1024 * 1024
_ERRORS_FROM: Final = 300
_KEEP_ALIVE_S: Final = 60.0
_DNS_CACHE_S: Final = 60
_TRACE_ID: Final = "x-weighbridge-id"
_TRACE_ATTEMPT: Final = "x-weighbridge-attempt"
_NOTHING_USED: Final = Usage()


@dataclass(frozen=True, slots=True)
class CallResult:
    """How a call ended: `answer`, or why there is none. Times are seconds.

    `per_token_s` is the time of a streamed answer after its first token, for each token more.
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
    should_retry: bool | None = None
    expired: bool = False
    per_token_s: float | None = None
    usage: Usage = _NOTHING_USED
    """Also of a call that failed, as far as the provider said."""
    limits: LimitsSeen | None = None
    received_tokens: int = 0
    """About so many of the answer came, where the usage does not say."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """Short facts for the journal: of the answer, and of the headers of any reply."""

    def ended(self, counted_input: int) -> EndedCall:
        """What of it matters for its cost; `counted_input` is our own count of the prompt."""
        return EndedCall(
            usage=self.usage,
            counted_input=counted_input,
            received_tokens=self.received_tokens,
            answered=self.answer is not None,
            sent=not self.expired or self.transport is not None,
            status=self.status,
            code=self.code,
            transport=self.transport,
        )


@dataclass(frozen=True, slots=True)
class Prepared:
    """A call that may be made: everything that could forbid it has been asked."""

    work: Work
    request: HttpRequest
    credential: Mapping[str, str] = field(repr=False)


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
        credential: Credential,
        models: Mapping[str, ServedModel],
        trace_headers: bool,
    ) -> None:
        self._base = base_url
        self._urls: dict[str, URL] = {}
        self._adapter = adapter
        self._limits = limits
        self._credential = credential
        self._models = models
        self._trace = trace_headers
        self._stream_ends = StreamEnds()
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

    @property
    def retries(self) -> RetryTable:
        """What follows this provider's failures, as its dialect says."""
        return self._adapter.retries

    def provider_model(self, alias: str) -> str | None:
        """The provider's own name of a model; None when it does not serve it."""
        served = self._models.get(alias)
        return None if served is None else served.name

    async def close(self) -> None:
        """Close every connection."""
        await self._credential.close()
        await self._session.close()

    async def prepare(self, work: Work) -> Prepared:
        """What the call would be; nothing is sent.

        Raises CannotExpressError, and CredentialError when there is none that is valid.
        """
        request = self._adapter.request(work, self._models[work.model])
        return Prepared(work, request, await self._credential.headers())

    async def call(
        self, prepared: Prepared, attempt: int, on_pieces: reading.OnPieces | None = None
    ) -> CallResult:
        """Ask once. Returns within the limits and the prompt's deadline, whatever happens."""
        began = time.monotonic()
        work = prepared.work
        exchange = Exchange(self._limits, work.deadline)
        headers = {**prepared.request.headers, **prepared.credential}
        if self._trace:
            headers |= {_TRACE_ID: work.id, _TRACE_ATTEMPT: str(attempt)}
        stream = None
        if prepared.request.streamed:
            stream = reading.Streaming(self._adapter.assembler(work), on_pieces)
            headers |= self._stream_ends.headers()
        try:
            answer = await self._exchange(exchange, prepared, headers, stream)
        except ErrorReply as error:
            if error.status == HTTPStatus.UNAUTHORIZED:
                self._credential.rejected()
            return CallResult(
                seconds=time.monotonic() - began,
                first_token_s=exchange.first_token_s,
                status=error.status,
                code=error.code,
                kind=error.type,
                message=without_key(error, prepared.credential),
                retry_after_s=error.retry_after_s,
                should_retry=error.should_retry,
                usage=reading.used(stream),
                limits=self._limits_of(exchange),
                received_tokens=reading.received(stream),
                notes=self._notes_of(exchange),
            )
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            transport, expired = exchange.failed_by(error)
        except asyncio.CancelledError:
            raise reading.CutOffError(stream) from None
        except CutStreamError:
            transport, expired = Transport.STREAM_CUT, False
        except MalformedReplyError:
            transport, expired = Transport.MALFORMED, False
        else:
            return CallResult(
                seconds=time.monotonic() - began,
                first_token_s=exchange.first_token_s,
                answer=answer,
                status=exchange.status,
                per_token_s=exchange.per_token_s(answer.usage.output_tokens),
                usage=answer.usage,
                limits=self._limits_of(exchange),
                received_tokens=reading.received(stream, answer),
                notes={**answer.notes, **self._notes_of(exchange)},
            )
        return CallResult(
            seconds=time.monotonic() - began,
            first_token_s=exchange.first_token_s,
            status=exchange.status,
            code=transport.value,
            kind="transport",
            message=SENTENCES[transport],
            transport=transport,
            expired=expired,
            usage=reading.used(stream),
            limits=self._limits_of(exchange),
            received_tokens=reading.received(stream),
            notes=self._notes_of(exchange),
        )

    def _limits_of(self, exchange: Exchange) -> LimitsSeen | None:
        return None if exchange.headers is None else self._adapter.limits(exchange.headers)

    def _notes_of(self, exchange: Exchange) -> Mapping[str, str]:
        return {} if exchange.headers is None else self._adapter.notes(exchange.headers)

    async def _exchange(
        self,
        exchange: Exchange,
        prepared: Prepared,
        headers: Mapping[str, str],
        stream: reading.Streaming | None,
    ) -> Answer:
        request = prepared.request
        url = self._urls.get(request.path)
        if url is None:
            url = self._urls[request.path] = URL(self._base + request.path, encoded=True)
        body = request.body if len(request.body) < _BIG_BODY else io.BytesIO(request.body)
        async with (
            asyncio.timeout_at(exchange.begin()) as timer,
            self._session.post(url, data=body, headers=headers, allow_redirects=False) as reply,
        ):
            exchange.answered(reply.status, reply.headers)
            if stream is not None and reply.status < _ERRORS_FROM:
                transport = transport_of(reply)
                answer = await reading.read_stream(exchange, timer, stream, reply)
                await self._stream_ends.ended(reply.content, transport)
                return answer
            whole = Reply(
                reply.status, reply.headers, await reading.read_whole(exchange, timer, reply)
            )
            if reply.status >= _ERRORS_FROM:
                raise self._adapter.error(whole)
            return self._adapter.answer(prepared.work, whole)
