"""Calls at once of one model: never more than its settings say, and no other model waits for it."""

import asyncio
from collections import Counter
from typing import Any

import orjson
from aiohttp import web

from broker.settings.providers import ProviderSettings, ServedModel
from tests.workers import local_provider as says
from tests.workers.building import MODEL, on_loop, until, work
from tests.workers.test_answering import Running, running
from tests.workers.test_limits import BOTH, HERE, LARGE

MOST = 2


def given(**more: Any) -> ProviderSettings:
    models = {
        MODEL: ServedModel(name=BOTH[MODEL]),
        LARGE: ServedModel(name=BOTH[LARGE], max_in_flight=MOST),
    }
    return ProviderSettings(max_in_flight=8, models=models, adaptive=False, **more)


class Watched:
    """A provider that counts the calls it has of each model at once."""

    def __init__(self) -> None:
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.go = asyncio.Event()

    def then(self, reply: says.Reply) -> says.Reply:
        """This reply, once they may go on."""

        async def answer(request: web.Request) -> web.StreamResponse:
            model = orjson.loads(await request.read())["model"]
            self.now[model] += 1
            self.most[model] = max(self.most[model], self.now[model])
            try:
                await self.go.wait()
                return await reply(request)
            finally:
                self.now[model] -= 1

        return answer


def none_left(worker: Running) -> None:
    worker.check_all_free()
    kept = worker.made.attempts.allowance._of_model  # noqa: SLF001 - what must not leak
    assert set(kept.values()) <= {0}


def test_no_more_at_once_than_it_may_have_and_the_others_go_on_beside_it() -> None:
    async def main() -> None:
        async with running(provider=given(), models=BOTH) as worker:
            watched = Watched()
            worker.provider.reply = watched.then(says.good())
            large = [(0, work(f"l{n}", model=LARGE, fields=HERE)) for n in range(6)]
            worker.read(*large, *((0, work(f"s{n}", fields=HERE)) for n in range(4)))
            # All slots of the others are used though the large ones came first.
            await until(lambda: watched.now[BOTH[MODEL]] == 4)
            assert watched.now[BOTH[LARGE]] == MOST
            watched.go.set()
            await until(lambda: len(worker.completions()) == 10)
            assert watched.most[BOTH[LARGE]] == MOST
            assert {one.status for one in worker.completions()} == {"succeeded"}
            none_left(worker)

    on_loop(main())


def test_calls_that_fail_are_lost_or_have_a_second_one_give_their_place_back() -> None:
    async def main() -> None:
        async with running(provider=given(), models=BOTH, hedge_after_s=0.05) as worker:
            watched = Watched()
            watched.go.set()
            for n, reply in enumerate((says.error(500), says.cut, says.silent(0.3))):
                replies = [watched.then(reply), watched.then(says.good())]
                worker.provider.replies[f"l{n}"] = replies
            asked: dict[str, Any] = {"model": LARGE, "fields": HERE, "priority": "interactive"}
            worker.read(*((0, work(f"l{n}", **asked)) for n in range(3)))
            await until(lambda: len(worker.completions()) == 3)
            assert {one.status for one in worker.completions()} == {"succeeded"}
            none_left(worker)
            worker.provider.reply = watched.then(says.silent())
            worker.read(*((1, work(f"gone{n}", model=LARGE, fields=HERE)) for n in range(3)))
            await until(lambda: watched.now[BOTH[LARGE]] == MOST)
            worker.lose([1])
            await until(lambda: not worker.answering.running)
            none_left(worker)
            assert watched.most[BOTH[LARGE]] == MOST

    on_loop(main())
