"""A queue behind an open breaker: whom it is offered to, and how often the core is asked for it."""

from dataclasses import dataclass

from broker.core.breaker import Breaker, BreakerRules
from broker.core.retries import RetryRules
from broker.core.route_reasons import Reason
from broker.core.routing import Decision, NoDecision
from broker.core.slots import SlotRules
from broker.settings.providers import ProviderSettings
from tests.workers.building import job, work
from tests.workers.test_moving import mover
from workers.dispatch import Dispatcher
from workers.job import Job
from workers.leaving import Leaving
from workers.moving import Mover
from workers.quota_keeping import Allowance


class Counted:
    """A real mover, and how often it was asked."""

    def __init__(self, real: Mover) -> None:
        self.real = real
        self.asked = 0

    def choose(
        self, one: Job, because: str, now: float, cause: Reason = Reason.FAILED
    ) -> Decision | NoDecision:
        self.asked += 1
        return self.real.choose(one, because, now, cause)


@dataclass(frozen=True)
class Parts:
    breaker: Breaker
    rules: RetryRules
    mover: Mover
    allowance: Allowance


def leaving(counted: Counted) -> Leaving:
    dispatcher = Dispatcher(SlotRules(4))
    allowance = Allowance("azure-0", ProviderSettings(), dispatcher, 0.0)
    real: Mover = counted  # type: ignore[assignment]  # it counts, and asks the real one
    return Leaving(Parts(Breaker(BreakerRules()), RetryRules(), real, allowance))


def test_a_long_queue_that_has_been_everywhere_is_asked_for_once_a_look() -> None:
    counted = Counted(mover({}))
    jobs = [job(work(route=("azure", "google", "coreweave"))) for _ in range(500)]
    assert not list(leaving(counted).while_off(lambda: jobs, 10.0))
    assert counted.asked == 1


def test_those_that_have_somewhere_to_go_go_though_others_have_not() -> None:
    counted = Counted(mover({}))
    stays = [job(work(route=("azure", "google", "coreweave"))) for _ in range(50)]
    goes = [job(work(route=("azure",))) for _ in range(20)]
    moved = [one for one, _ in leaving(counted).while_off(lambda: stays + goes, 10.0)]
    assert moved == goes
    assert counted.asked == 1 + len(goes)
