"""How work ends, as the records that are committed for it."""

import time

import orjson
import pytest

from broker.core.dedupe import home_partition
from broker.core.prices import NOT_KNOWN, NOTHING, Cost, Prices
from broker.core.provider_view import Candidate, Standing
from broker.core.routing import Decision, Reason
from broker.log.units import Output, PartitionSet
from broker.records.completion import Failure, decode_completion, encode_completion
from broker.records.usage import Usage
from broker.records.work import decode_work, encode_work
from tests.workers.building import MODEL, PLAN, TOPICS, deployment, job, partition_of, work
from workers.endings import Endings
from workers.job import Place, UnreadableWork
from workers.providers.dialect import Answer

NOW = 1_790_000_000.0
MODELS = {MODEL: "gpt-deployed"}
TO_GOOGLE = Decision(
    "google",
    Reason.FAILED,
    "azure 503, google waits 0.1 s",
    (Candidate("azure", Standing.ABLE), Candidate("google", Standing.ABLE, wait_s=0.1)),
)


def endings(*, by_key: bool = False, prices: Prices | None = None) -> Endings:
    return Endings(deployment(by_key=by_key), dict.fromkeys(MODELS, prices or Prices()), MODELS)


def answer(tokens_in: int | None = 7, tokens_out: int | None = 5) -> Answer:
    return Answer("Yes.", {"id": "x"}, Usage(tokens_in, tokens_out), "stop")


def header(output: Output, name: str) -> bytes | None:
    return dict(output.headers).get(name)


class TestPlaces:
    @pytest.mark.parametrize(
        ("reply", "by_key", "expected"),
        [
            (None, False, PartitionSet(0, 6)),
            (4, False, 4),
            (4, True, 4),
            (0, True, 0),
            (None, True, home_partition("a", 6)),
            # A partition that does not exist (any more) must not stop the answer.
            (6, False, PartitionSet(0, 6)),
            (-1, False, PartitionSet(0, 6)),
            (99, True, home_partition("a", 6)),
        ],
    )
    def test_a_completion_goes_where_it_is_awaited(
        self,
        reply: int | None,
        by_key: bool,  # noqa: FBT001 - a column of the table
        expected: int | PartitionSet,
    ) -> None:
        made, given = endings(by_key=by_key), job(work(reply_partition=reply))
        done = made.completion(given, "succeeded", NOW, answer=answer())
        (output,) = made.completed(given, done, b"v").outputs
        assert (output.topic, output.partition, output.key) == (TOPICS.completions, expected, b"a")

    @pytest.mark.parametrize("lane", ["light", "medium", "heavy", "batch"])
    def test_a_move_stays_in_its_lane(self, lane: str) -> None:
        given = job(partition=PLAN.partitions[lane][-1], offset=8)  # type: ignore[index]  # names
        (output,) = endings().moved(given, TO_GOOGLE, NOW).outputs
        own = PLAN.partitions[lane]  # type: ignore[index]  # as above
        assert output.topic == TOPICS.work("google")
        assert output.partition == PartitionSet(own.start, len(own))

    def test_a_tenant_that_is_kept_apart_stays_so_where_its_work_moves(self) -> None:
        given = job(work(apart=0.9), partition=partition_of("light"))
        (output,) = endings().moved(given, TO_GOOGLE, NOW).outputs
        assert output.partition == PartitionSet(0, 5)

    def test_a_unit_has_the_place_and_epoch_of_its_record(self) -> None:
        given = job(partition=3, offset=41, epoch=9)
        unit = endings().moved(given, TO_GOOGLE, NOW)
        assert (unit.topic, unit.partition, unit.offset, unit.epoch, unit.tag) == (
            *(TOPICS.work("azure"), 3, 41, 9),
            given,
        )


class TestCompletions:
    def test_it_has_the_figures_of_the_whole_way(self) -> None:
        given = job(work(accepted_at=NOW - 10, attempt=2))
        given.first_call_at, given.provider_s, given.calls = NOW - 4, 3.25, 4
        given.cost = Cost(22e-6)
        done = endings().completion(given, "succeeded", NOW, answer=answer())
        assert (done.queued_ms, done.provider_ms, done.calls) == (6_000, 3_250, 4)
        assert (done.input_tokens, done.output_tokens, done.cost_usd) == (7, 5, 22e-6)
        assert (done.text, done.body) == ("Yes.", {"id": "x"})

    def test_its_cost_is_that_of_all_calls_also_those_elsewhere(self) -> None:
        given = job(work(attempt=2, cost_usd=0.5, cost_estimated=True))
        given.cost = Cost(0.25)
        done = endings().completion(given, "succeeded", NOW, answer=answer())
        assert (done.cost_usd, done.cost_estimated) == (0.75, True)

    @pytest.mark.parametrize(
        ("before", "here", "told"),
        [
            (0.0, NOT_KNOWN, (None, False)),
            (None, Cost(0.5), (0.5, True)),
            (0.0, NOTHING, (0.0, False)),
        ],
    )
    def test_a_cost_that_is_not_known_is_not_nothing(
        self, before: float | None, here: Cost, told: tuple[float | None, bool]
    ) -> None:
        given = job(work(cost_usd=before))
        given.cost = here
        done = endings().completion(given, "succeeded", NOW, answer=answer())
        assert (done.cost_usd, done.cost_estimated) == told

    def test_tokens_that_the_provider_did_not_count_are_those_of_the_classifier(self) -> None:
        done = endings().completion(job(), "succeeded", NOW, answer=answer(None, None))
        assert (done.input_tokens, done.output_tokens) == (6, 0)

    def test_one_that_was_never_called_has_waited_until_its_end(self) -> None:
        error = Failure("expired", "deadline_passed", "Late.")
        given = job(work(accepted_at=NOW - 2))
        done = endings().completion(given, "expired", NOW, error=error)
        assert (done.queued_ms, done.provider_ms, done.calls, done.text) == (2_000, 0, 0, None)

    def test_headers_of_the_prompt_are_echoed_and_its_own_are_not(self) -> None:
        headers = (
            ("kafka_correlationId", b"\x00\xff"),
            ("ce_id", b"theirs"),
            ("traceparent", b"00-1"),
            ("private", b"x"),
        )
        made, given = endings(), job(work(headers=headers))
        done = made.completion(given, "succeeded", NOW, answer=answer())
        (output,) = made.completed(given, done, b"v").outputs
        assert header(output, "kafka_correlationId") == b"\x00\xff"
        assert header(output, "traceparent") == b"00-1"
        assert header(output, "ce_id") == b"a/completion"
        assert header(output, "private") is None
        assert header(output, "status") == b"succeeded"


class TestMoves:
    def test_what_was_spent_travels_with_the_work(self) -> None:
        given = job(work(cost_usd=0.5))
        given.cost = Cost(0.25, estimated=True)
        (output,) = endings().moved(given, TO_GOOGLE, NOW).outputs
        moved = decode_work(output.value)
        assert (moved.cost_usd, moved.cost_estimated) == (0.75, True)

    def test_the_work_arrives_whole_with_its_new_step(self) -> None:
        headers = (("traceparent", b"00-1"), ("lane", b"theirs"))
        given = job(
            work(
                fields={"top_p": 0.5, "metadata": {"k": "v"}},
                deadline=NOW + 5,
                reply_partition=2,
                headers=headers,
            )
        )
        given.calls = 3
        (output,) = endings().moved(given, TO_GOOGLE, NOW).outputs
        moved = decode_work(output.value, output.headers)
        assert [step.provider for step in moved.route] == ["azure", "google"]
        assert moved.route[-1].reason == "azure 503, google waits 0.1 s"
        assert moved.route[-1].code == "failed"
        assert [one["provider"] for one in moved.route[-1].candidates] == ["azure", "google"]
        assert (moved.attempt, moved.moves, moved.deadline) == (3, 1, NOW + 5)
        assert (moved.fields, moved.metadata) == (given.work.fields, {"k": "v"})
        assert (moved.reply_partition, output.key) == (2, b"a")
        assert [n for n, _ in output.headers].count("lane") == 1
        assert header(output, "reason") == b"azure 503, google waits 0.1 s"


def unreadable(value: bytes | None) -> UnreadableWork:
    place = Place(TOPICS.work("azure"), partition_of("heavy"), 5, 1)
    headers = (("traceparent", b"00-1"), ("x", b"\xff"))
    return UnreadableWork(place, "heavy", 9, b"k", value, headers, "bad_work_record", "Not ours.")


class TestUnreadable:
    @pytest.mark.parametrize("value", [None, b"", b"{", b"[]", b"\xff\xfe", b'{"id": 7}'])
    def test_without_an_id_there_is_a_dead_letter_with_the_original_bytes(
        self, value: bytes | None
    ) -> None:
        unit = endings().unreadable(unreadable(value), NOW)
        (letter,) = unit.outputs
        assert (letter.topic, letter.key, letter.value) == (TOPICS.dead_letters, b"k", value)
        assert letter.partition == PartitionSet(0, 3)
        assert letter.headers[-2:] == (("traceparent", b"00-1"), ("x", b"\xff"))
        assert header(letter, "dlt-topic") == TOPICS.work("azure").encode()
        assert (header(letter, "dlt-partition"), header(letter, "dlt-offset")) == (b"9", b"5")
        assert (header(letter, "dlt-stage"), header(letter, "dlt-error")) == (
            b"worker",
            b"bad_work_record",
        )
        assert (unit.partition, unit.offset) == (9, 5)

    def test_with_an_id_the_prompt_gets_its_failed_completion_too(self) -> None:
        value = b'{"id": "p-1", "tenant": "t", "reply_partition": 2, "weight": "heavy"}'
        letter, output = endings().unreadable(unreadable(value), NOW).outputs
        assert letter.value == value
        done = decode_completion(output.value)
        assert (done.id, done.tenant, done.status) == ("p-1", "t", "failed")
        assert (output.partition, output.key) == (2, b"p-1")
        assert header(output, "traceparent") == b"00-1"
        assert done.error is not None
        assert done.error.code == "bad_work_record"

    @pytest.mark.parametrize(
        "odd",
        [
            {"tenant": 7, "kind": None, "model": [], "reply_partition": "x"},
            {"tenant": "t" * 5_000, "accepted_at": "yesterday"},
            {"accepted_at": 12},
        ],
    )
    def test_odd_fields_beside_the_id_do_not_stop_its_completion(
        self, odd: dict[str, object]
    ) -> None:
        value = orjson.dumps({"id": "p-1", **odd})
        done = decode_completion(endings().unreadable(unreadable(value), NOW).outputs[1].value)
        assert (done.id, done.tenant, done.accepted_at, done.queued_ms) == (
            "p-1",
            "default",
            NOW,
            0,
        )

    def test_the_time_of_acceptance_is_kept_where_it_can_be_read(self) -> None:
        value = orjson.dumps(orjson.loads(encode_work(work(accepted_at=NOW - 3))) | {"weight": "x"})
        done = decode_completion(endings().unreadable(unreadable(value), NOW).outputs[1].value)
        assert (done.accepted_at, done.queued_ms) == (NOW - 3, 3_000)

    def test_an_id_that_breaks_the_rules_is_not_used(self) -> None:
        value = orjson.dumps({"id": "x" * 5_000})
        assert len(endings().unreadable(unreadable(value), NOW).outputs) == 1


def test_every_completion_can_be_read_again() -> None:
    done = endings().completion(job(), "succeeded", time.time(), answer=answer())
    again = decode_completion(encode_completion(done))
    assert (again.id, again.text, again.body) == (done.id, done.text, done.body)
