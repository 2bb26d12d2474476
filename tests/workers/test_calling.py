"""One call over HTTP, where the attempt's own tests do not reach."""

import asyncio
from typing import Any

import pytest
from aiohttp import web

from broker.core.retries import Transport
from broker.records.work import Work
from broker.settings.providers import ProviderSettings, ServedModel
from tests.workers import local_provider as says
from tests.workers.building import MODEL, on_loop, until, work
from workers.calling import CallResult, ProviderClient
from workers.credentials import Key
from workers.exchange import CallLimits
from workers.providers.openai import OpenAI

SHORT = CallLimits(connect=1.0, first_byte=1.0, between_bytes=0.5, total=2.0)


def client_of(url: str, limits: CallLimits = SHORT, *, traced: bool = True) -> ProviderClient:
    return ProviderClient(
        base_url=url,
        adapter=OpenAI(ProviderSettings()),
        limits=limits,
        credential=Key({"Authorization": "Bearer sk-1"}),
        models={MODEL: ServedModel(name="gpt-deployed")},
        trace_headers=traced,
    )


async def _once(client: ProviderClient, asked: Work, attempt: int = 1) -> CallResult:
    return await client.call(await client.prepare(asked), attempt)


def called(reply: says.Reply, *, limits: CallLimits = SHORT, **given: Any) -> CallResult:
    async def main() -> CallResult:
        async with says.local_provider() as provider:
            provider.reply = reply
            client = client_of(provider.url, limits)
            try:
                return await _once(client, work(**given))
            finally:
                await client.close()

    return on_loop(main())


def dripping(pieces: int, pause_s: float, *, then_hang: bool = False) -> says.Reply:
    """A whole answer that comes in pieces, a pause before each."""

    async def reply(request: web.Request) -> web.StreamResponse:
        data = web.json_response(says.completion()).body
        assert isinstance(data, bytes)
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        step = len(data) // pieces + 1
        for at in range(0, len(data), step):
            await asyncio.sleep(pause_s)
            await response.write(data[at : at + step])
            if then_hang:
                await asyncio.sleep(30)
        return response

    return reply


class TestSlowAnswers:
    def test_one_that_comes_in_pieces_is_whole_at_the_end(self) -> None:
        got = called(dripping(8, 0.02))
        assert got.answer is not None
        assert got.answer.text == says.ANSWER

    def test_one_that_stops_in_the_middle(self) -> None:
        got = called(dripping(8, 0.0, then_hang=True))
        assert (got.transport, got.status) == (Transport.BETWEEN_BYTES_TIMEOUT, 200)
        assert got.seconds < 1.9

    def test_one_that_drips_for_ever_meets_the_total(self) -> None:
        got = called(dripping(100, 0.05))
        assert got.transport is Transport.TOTAL_TIMEOUT
        assert 1.9 < got.seconds < 5
        assert not got.expired

    def test_an_error_whose_text_never_comes(self) -> None:
        async def reply(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(status=500, headers={"Content-Length": "9"})
            await response.prepare(request)
            await asyncio.sleep(30)
            return response

        got = called(reply)
        assert (got.transport, got.status) == (Transport.BETWEEN_BYTES_TIMEOUT, 500)


class TestBytes:
    def test_a_prompt_of_megabytes_is_sent_whole(self) -> None:
        async def main() -> None:
            async with says.local_provider() as provider:
                client = client_of(provider.url, CallLimits(5.0, 20.0, 20.0, 40.0))
                text = "é" * 3_000_000
                got = await _once(client, work(text=text), 1)
                assert got.answer is not None
                assert provider.asked[0]["messages"][0]["content"] == text
                await client.close()

        on_loop(main())

    @pytest.mark.parametrize("stream", [False, True])
    def test_an_answer_without_end_is_not_kept(
        self, monkeypatch: pytest.MonkeyPatch, *, stream: bool
    ) -> None:
        monkeypatch.setattr("workers.reply_reading.MAX_ANSWER_BYTES", 100_000)
        reply = says.streamed(*[says.chunk("x" * 50_000)] * 4, pause_s=0.01)
        got = called(reply, fields={"stream": stream})
        assert got.transport is Transport.MALFORMED


class TestConnections:
    def test_one_is_used_again_and_carries_key_and_trace(self) -> None:
        async def main() -> None:
            async with says.local_provider() as provider:
                peers = set()

                async def reply(request: web.Request) -> web.StreamResponse:
                    assert request.transport is not None
                    peers.add(request.transport.get_extra_info("peername"))
                    return web.json_response(says.completion())

                provider.reply = reply
                client = client_of(provider.url)
                for attempt in range(1, 6):
                    got = await _once(client, work(f"p{attempt}"), attempt)
                    assert got.answer is not None
                assert len(peers) == 1
                sent = provider.headers[4]
                assert sent["authorization"] == "Bearer sk-1"
                assert (sent["x-weighbridge-id"], sent["x-weighbridge-attempt"]) == ("p5", "5")
                await client.close()

        on_loop(main())

    def test_a_call_that_is_given_up_lets_go_of_its_connection(self) -> None:
        async def main() -> None:
            async with says.local_provider() as provider:
                ended = asyncio.Event()

                async def reply(_request: web.Request) -> web.StreamResponse:
                    try:
                        await asyncio.sleep(30)
                    finally:
                        ended.set()
                    return web.Response()

                provider.reply = reply
                client = client_of(provider.url)
                task = asyncio.ensure_future(_once(client, work(), 1))
                await until(lambda: provider.asked)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
                async with asyncio.timeout(5):
                    await ended.wait()
                await client.close()

        on_loop(main())

    def test_a_host_that_does_not_exist_is_a_failed_connection(self) -> None:
        async def main() -> None:
            client = client_of("http://nowhere.invalid/v1", CallLimits(5.0, 5.0, 5.0, 9.0))
            got = await _once(client, work(), 1)
            assert (got.transport, got.status) == (Transport.CONNECT, None)
            await client.close()

        on_loop(main())

    def test_what_speaks_no_http_is_malformed(self) -> None:
        async def main() -> None:
            async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                writer.write(b"220 mail.example ESMTP\r\n\r\n")
                await writer.drain()
                writer.close()

            server = await asyncio.start_server(babble, "127.0.0.1", 0)
            port = server.sockets[0].getsockname()[1]
            client = client_of(f"http://127.0.0.1:{port}/v1")
            got = await _once(client, work(), 1)
            assert got.transport in {Transport.MALFORMED, Transport.CUT}
            await client.close()
            server.close()
            await server.wait_closed()

        on_loop(main())
