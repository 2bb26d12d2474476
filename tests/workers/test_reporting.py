"""When a worker says how it is: each second, and at once when others should know."""

import time

from broker.core.breaker import BreakerRules
from broker.records.providers import ProviderState
from tests.workers import local_provider as says
from tests.workers.building import on_loop, until, work
from tests.workers.test_answering import Running, running
from tests.workers.test_limits import limited, subject_of
from workers.reporting import EVERY_S, Reporting


def telling(worker: Running) -> tuple[Reporting, list[ProviderState]]:
    """Who says it, and what was said."""
    told: list[ProviderState] = []
    return Reporting(subject_of(worker), told.append), told


def test_it_is_told_each_second_and_no_more_often_while_nothing_changes() -> None:
    async def main() -> None:
        async with running(provider=limited()) as worker:
            reporting, told = telling(worker)
            began = time.time()
            for tenth in range(31):
                reporting.look(began + tenth * EVERY_S / 10 + 0.001 * tenth)
            assert [round(state.at - began) for state in told] == [0, 1, 2, 3]
            assert {state.breaker for state in told} == {"closed"}

    on_loop(main())


def test_a_breaker_that_opens_is_told_at_once() -> None:
    async def main() -> None:
        async with running(breaker=BreakerRules(spent_s=60.0), provider=limited()) as worker:
            reporting, told = telling(worker)
            began = time.time()
            reporting.look(began)
            worker.provider.reply = says.error(429, "insufficient_quota")
            worker.read((0, work("p1")))
            await until(lambda: worker.made.breaker.is_spent)
            reporting.look(began + EVERY_S / 10)
            assert [(state.breaker, state.stopped) for state in told] == [
                ("closed", None),
                ("open", "spent"),
            ]

    on_loop(main())


def test_work_that_begins_to_wait_is_told_at_once() -> None:
    async def main() -> None:
        async with running(provider=limited()) as worker:
            reporting, told = telling(worker)
            began = time.time()
            reporting.look(began)
            worker.provider.reply = says.silent()
            worker.read(*((0, work(f"p{n}")) for n in range(9)))
            await until(lambda: worker.made.dispatcher.in_flight == 8)
            reporting.look(began + EVERY_S / 10)
            assert [state.waiting for state in told] == [0, 1]

    on_loop(main())
