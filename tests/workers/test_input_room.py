"""What prompts bring is bounded over all calls at once, and nobody is forgotten in the line."""

import asyncio
from random import Random

import pytest

from tests.workers.building import on_loop
from workers.input_room import InputRoom


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_who_does_not_fit_waits_and_comes_in_order() -> None:
    async def main() -> None:
        room, came = InputRoom(10), []

        async def enter(name: str, size: int) -> None:
            await room.take(name, size)
            came.append(name)

        tasks = [asyncio.create_task(enter(*one)) for one in (("a", 6), ("b", 5), ("c", 1))]
        await settle()
        assert came == ["a"]  # c would fit, but b stands before it
        room.give_back("a")
        await asyncio.gather(*tasks)
        assert came == ["a", "b", "c"]
        assert room.held == 6
        room.give_back("nobody")
        for name in "bc":
            room.give_back(name)
            room.give_back(name)
        assert room.held == 0

    on_loop(main())


def test_what_is_larger_than_the_room_is_let_in_alone() -> None:
    async def main() -> None:
        room = InputRoom(10)
        await room.take("small", 1)
        large = asyncio.create_task(room.take("large", 99))
        await settle()
        assert not large.done()
        room.give_back("small")
        await large
        assert room.held == 99

    on_loop(main())


@pytest.mark.parametrize("seed", range(20))
def test_no_share_is_lost_or_kept_whoever_gives_up(seed: int) -> None:
    chance = Random(seed)

    async def call(room: InputRoom, number: int) -> None:
        try:
            await room.take(number, chance.randint(1, 12))
            assert room.held <= 12
            await asyncio.sleep(chance.choice((0, 0, 0.001)))
        finally:
            room.give_back(number)

    async def main() -> None:
        room = InputRoom(10)
        tasks = [asyncio.create_task(call(room, number)) for number in range(200)]
        for _ in range(100):
            await asyncio.sleep(0)
            chance.choice(tasks).cancel()
        await asyncio.wait(tasks, timeout=30)
        assert all(task.done() for task in tasks)
        assert all(task.cancelled() or task.exception() is None for task in tasks)
        assert room.held == 0

    on_loop(main())
