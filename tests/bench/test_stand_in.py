"""The provider that answers at once, streams, or holds its calls."""

import asyncio
import os

import aiohttp

from broker.bench import stand_in
from broker.bench.site import StandIn
from broker.bench.waiting import until
from broker.supervisor.ports import free_ports
from workers.providers.dialect import Answer
from workers.providers.openai_stream import ChatAssembler


async def ask(url: str, size: int) -> str:
    body = {"model": "m", "messages": [{"role": "user", "content": "x" * size}]}
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{url}/chat/completions", json=body) as reply,
    ):
        answer = await reply.json()
        return str(answer["choices"][0]["message"]["content"])


async def streamed(url: str) -> Answer:
    assembler = ChatAssembler(1)
    async with aiohttp.ClientSession() as session, session.post(f"{url}/chat/completions") as reply:
        async for data in reply.content.iter_any():
            assembler.feed(data)
    return assembler.answer()


def test_calls_are_answered_at_once_or_held_until_they_are_released() -> None:
    async def scene() -> None:
        (port,) = free_ports(1)
        serving = asyncio.create_task(stand_in.serve(port))
        here = StandIn(port, os.getpid())
        try:
            async with asyncio.timeout(30):
                while True:
                    try:
                        assert await here.answers_in_ms() < 1_000
                        break
                    except aiohttp.ClientConnectorError:
                        await asyncio.sleep(0.01)
                # One that comes in many pieces is answered once, when it is whole.
                assert "sunlight" in await ask(here.url, 500_000)
                answer = await streamed(here.streamed_url)
                assert answer.usage.output_tokens == stand_in.STREAM_TOKENS
                assert len((answer.text or "").split()) == stand_in.STREAM_TOKENS
                held = [asyncio.create_task(ask(here.held_url, 10)) for _ in range(20)]

                async def all_held() -> bool:
                    return await here.held() == len(held)

                await until(all_held, 10, lambda: "calls are not held")
                assert not any(call.done() for call in held)
                assert await here.release() == len(held)
                assert all("sunlight" in text for text in await asyncio.gather(*held))
                assert await here.held() == 0
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    asyncio.run(scene())
