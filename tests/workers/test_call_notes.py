"""What headers tell of a call is in the journal, however the call went."""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from broker.records.calls import CallEvent, decode_call, encode_call
from broker.settings.providers import ProviderSettings
from tests.workers import local_provider as says
from tests.workers.building import on_loop, until, work
from tests.workers.test_answering import Running, running
from workers.exchange import CallLimits
from workers.hedging import LOST
from workers.providers.azure import Azure

SPILLED: Final = {"x-ms-deployment-name": "standard", "x-ms-spillover-from-deployment": "ptu"}
TOLD: Final = {"deployment": "standard", "spillover_from": "ptu"}
LIMITS: Final = CallLimits(connect=2.0, first_byte=2.0, between_bytes=0.3, total=10.0)


def azure() -> Azure:
    """At the address of the tests' provider."""
    return Azure(ProviderSettings(base_url="http://127.0.0.1/openai/v1"))


def replying(
    body: bytes, status: int = 200, *, headers: Mapping[str, str] = SPILLED, after_s: float = 0
) -> says.Reply:
    async def reply(_request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(after_s)
        given = {"Content-Type": "application/json", **headers}
        return web.Response(body=body, status=status, headers=given)

    return reply


def streaming(*pieces: bytes, end: str = "close") -> says.Reply:
    async def reply(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **SPILLED})
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        if end == "hang":
            await asyncio.sleep(30)
        return response

    return reply


async def ends(worker: Running, given: Any) -> list[CallEvent]:
    """The ends of the prompt's calls, as whoever reads the journal has them."""
    worker.read((0, given))
    await until(lambda: worker.completions() or worker.moves())
    await until(lambda: not worker.answering.running)
    ended = [decode_call(encode_call(one)) for one in worker.made.journal.of("ended")]
    return sorted(ended, key=lambda one: one.attempt)


WHOLE: Final = web.json_response(says.completion()).body or b""
PIECES: Final = (says.chunk("Because"), says.chunk(finish="stop"), says.USAGE, says.DONE)


def test_whole_and_streamed_answers_carry_them() -> None:
    async def main() -> None:
        async with running(adapter=azure()) as worker:
            assert isinstance(WHOLE, bytes)
            worker.provider.replies = {"w": [replying(WHOLE)], "s": [streaming(*PIECES)]}
            (whole,) = await ends(worker, work("w"))
            assert (whole.outcome, whole.notes) == ("ok", TOLD)
            _, streamed = await ends(worker, work("s", stream=True, fields={"stream": True}))
            assert (streamed.outcome, streamed.notes) == ("ok", TOLD)

    on_loop(main())


def test_calls_that_failed_after_their_headers_carry_them() -> None:
    async def main() -> None:
        async with running(adapter=azure(), limits=LIMITS) as worker:
            worker.provider.replies["p"] = [
                replying(b'{"error": {"message": "No.", "code": "x"}}', 503),
                replying(b"{"),
                streaming(PIECES[0]),
                streaming(PIECES[0], end="hang"),
                says.cut,
                streaming(*PIECES),
            ]
            given = work("p", stream=True, fields={"stream": True, "provider": "azure"})
            found = await ends(worker, given)
            assert [one.notes for one in found[:4]] == [TOLD] * min(4, len(found))
            assert {one.outcome for one in found[:-1]} <= {"retry", "move"}

    on_loop(main())


def test_each_of_two_hedged_calls_carries_its_own() -> None:
    async def main() -> None:
        async with running(adapter=azure(), hedge_after_s=0.15) as worker:
            assert isinstance(WHOLE, bytes)
            first = {"x-ms-deployment-name": "ptu"}
            failed = replying(b"{}", 500, headers=first, after_s=0.5)
            worker.provider.replies["f"] = [failed, replying(WHOLE, after_s=1.0)]
            hedged: dict[str, Any] = {"priority": "interactive", "fields": {"provider": "azure"}}
            loser, winner = await ends(worker, work("f", **hedged))
            assert (loser.code, loser.notes) == ("500", {"deployment": "ptu"})
            assert (winner.outcome, winner.notes) == ("ok", TOLD)
        async with running(adapter=azure(), hedge_after_s=0.15) as worker:
            worker.provider.replies["h"] = [says.silent(), replying(WHOLE)]
            loser, winner = await ends(worker, work("h", **hedged))
            assert (loser.code, loser.notes) == (LOST, None)
            assert (winner.outcome, winner.notes) == ("ok", TOLD)

    on_loop(main())


def test_a_provider_s_words_cannot_fill_the_journal() -> None:
    async def main() -> None:
        async with running(adapter=azure()) as worker:
            assert isinstance(WHOLE, bytes)
            told = {"x-ms-deployment-name": "d" * 5_000}
            worker.provider.replies["p"] = [replying(WHOLE, headers=told)]
            (ended,) = await ends(worker, work("p"))
            assert ended.notes == {"deployment": "d" * 200}

    on_loop(main())
