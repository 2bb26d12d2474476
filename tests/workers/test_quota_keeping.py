"""What a worker allows itself: calls that are stuck, and time that it was late itself."""

from broker.core.slots import SlotRules
from broker.records.usage import Usage
from broker.settings.providers import ProviderSettings, ServedModel
from tests.workers.building import MODEL, job, work
from workers.calling import CallResult
from workers.dispatch import Dispatcher
from workers.job import Job
from workers.providers.dialect import Answer
from workers.quota_keeping import STUCK_S, Allowance

NOW = 1_000.0


def crowded(made: Allowance, dispatcher: Dispatcher, number: int, now: float) -> None:
    """One call that the provider turns away for too many at once."""
    one = started(made, dispatcher, f"c{number}", now)
    made.heard(one, CallResult(0.1, status=429, code="concurrency_limit"), now)
    dispatcher.ended(one)


def started(made: Allowance, dispatcher: Dispatcher, name: str, now: float) -> Job:
    dispatcher.add(job(work(name)), now)
    one = dispatcher.next_job(made.at(now))
    assert one is not None
    made.take(one, now)
    return one


def test_a_call_that_hangs_does_not_keep_all_others_waiting() -> None:
    given = ProviderSettings(max_in_flight=64, models={MODEL: ServedModel(name="m")})
    dispatcher = Dispatcher(SlotRules(64))
    made = Allowance("azure-0", given, dispatcher, NOW)
    made.assigned(1, 1, NOW)
    for number in range(60):
        crowded(made, dispatcher, number, NOW + number)
    assert dispatcher.slots == 1
    later = NOW + 100
    hanging = started(made, dispatcher, "hanging", later)
    dispatcher.add(job(work("waiting")), later)
    assert dispatcher.next_job(made.at(later + 1)) is None
    made.tick((), later + STUCK_S + 1)
    assert dispatcher.slots == 2
    assert dispatcher.next_job(made.at(later + STUCK_S + 1)) is not None
    made.heard(hanging, CallResult(STUCK_S + 2), later + STUCK_S + 2)
    assert dispatcher.slots == 1


def test_calls_that_this_process_was_late_for_say_nothing_of_the_provider() -> None:
    given = ProviderSettings(max_in_flight=32, models={MODEL: ServedModel(name="m")})
    dispatcher = Dispatcher(SlotRules(32))
    made = Allowance("azure-0", given, dispatcher, NOW)
    made.assigned(1, 1, NOW)
    now, before = NOW, 0
    for turn in range(60):
        late = turn > 30  # stopped for ten seconds each time, in the middle of all calls
        made.looked(now, now + 0.1)
        jobs = [started(made, dispatcher, f"{turn}-{n}", now) for n in range(16)]
        now += 10.0 if late else 0.5
        for one in jobs:
            answer = Answer("Yes.", {}, Usage(6, 10), "stop")
            result = CallResult(10.0 if late else 0.5, answer=answer, usage=answer.usage)
            made.heard(one, result, now)
            dispatcher.ended(one)
        if turn == 30:
            before = dispatcher.slots
    assert dispatcher.slots == before
