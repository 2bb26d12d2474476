"""Slots under callers that come, leave and wait too long, in every order."""

import asyncio
import random

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.simulator.slots import QueueFullError, Slots


def test_a_wait_has_an_end() -> None:
    async def main() -> None:
        slots = Slots(1, 5, longest_wait_s=0.05)
        async with slots:
            with pytest.raises(QueueFullError):
                await slots.__aenter__()
        assert (slots.in_use, slots.waiting) == (0, 0)

    uvloop.run(main())


def test_a_slot_handed_to_one_that_leaves_in_that_moment_goes_on() -> None:
    async def main() -> None:
        slots = Slots(1, 5, longest_wait_s=10)
        order: list[str] = []

        async def take(name: str) -> None:
            async with slots:
                order.append(name)

        await slots.__aenter__()
        first, second = (asyncio.create_task(take(name)) for name in ("first", "second"))
        await asyncio.sleep(0)
        await slots.__aexit__()  # hands the slot to the first, which has not run yet
        first.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        assert order == ["second"]
        assert (slots.in_use, slots.waiting) == (0, 0)

    uvloop.run(main())


def test_more_slots_let_those_in_that_wait_and_fewer_throw_nobody_out() -> None:
    async def main() -> None:
        slots = Slots(1, 5, longest_wait_s=10)
        leave = asyncio.Event()

        async def take() -> None:
            async with slots:
                await leave.wait()

        takers = [asyncio.create_task(take()) for _ in range(4)]
        await asyncio.sleep(0)
        assert (slots.in_use, slots.waiting) == (1, 3)
        slots.resize(3, 1)
        await asyncio.sleep(0)
        assert (slots.in_use, slots.waiting) == (3, 1)
        with pytest.raises(QueueFullError):
            await slots.__aenter__()
        slots.resize(1, 1)
        assert (slots.in_use, slots.waiting) == (3, 1)
        leave.set()
        await asyncio.gather(*takers)
        assert (slots.in_use, slots.waiting) == (0, 0)

    uvloop.run(main())


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 4), st.integers(0, 6))
def test_never_too_many_never_lost(seed: int, count: int, queue: int) -> None:
    async def main() -> None:
        chance = random.Random(seed)
        slots = Slots(count, queue, longest_wait_s=10)
        holding = 0

        async def take(turns: int) -> None:
            nonlocal holding
            async with slots:
                holding += 1
                assert holding <= count
                try:
                    for _ in range(turns):
                        await asyncio.sleep(0)
                finally:
                    holding -= 1

        callers: list[asyncio.Task[None]] = []
        for _ in range(60):
            callers.append(asyncio.create_task(take(chance.randrange(5))))
            if chance.random() < 0.3:
                chance.choice(callers).cancel()
            if chance.random() < 0.7:
                await asyncio.sleep(0)
            assert slots.waiting <= queue
        results = await asyncio.gather(*callers, return_exceptions=True)
        allowed = (QueueFullError, asyncio.CancelledError)
        assert all(result is None or isinstance(result, allowed) for result in results)
        assert (holding, slots.in_use, slots.waiting) == (0, 0, 0)

    uvloop.run(main())
