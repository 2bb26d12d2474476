"""What becomes of one record: fabricated records, no Kafka."""

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from broker.classifier.decide import Decider, Outcome
from broker.classifier.header_names import EXACT_NAMES
from broker.classifier.router import Router
from broker.classifier.rules import Rules, rules_of
from broker.classifier.tokens import How, token_counter
from broker.classifier.weighing import Weigher
from broker.core.cancels import SKEW_S, Cancels
from broker.core.dedupe import DedupeWindow, home_partition
from broker.core.provider_view import ProviderView
from broker.core.sharding import TenantShards
from broker.log.topic_names import TopicNames
from broker.log.topic_shapes import Shapes
from broker.log.units import Output, PartitionSet
from broker.records.completion import Completion, decode_completion
from broker.records.headers import ACCEPTED_AT, ORIGIN
from broker.records.incoming import Headers, InputRecord
from broker.records.providers import ProviderState
from broker.records.times import from_rfc3339
from broker.records.work import decode_work
from broker.settings import load_settings

NOW = 1_795_000_000.0
PARTITIONS = 12
NAMES = TopicNames("llm")
COUNT = token_counter(32_768)


def rules(most_bytes: Mapping[str, int] | None = None, **sections: Any) -> Rules:
    settings = load_settings(**sections)
    topics = [NAMES.prompts, NAMES.completions, NAMES.dead_letters]
    topics += [NAMES.work(provider) for provider in settings.providers]
    return rules_of(settings, Shapes(dict.fromkeys(topics, PARTITIONS), most_bytes or {}))


class Bench:
    """One decider with the windows of all partitions."""

    def __init__(self, given: Rules | None = None, *, keep_apart: bool = False) -> None:
        self.view, self.cancels = ProviderView(NOW), Cancels()
        self.rules = known = given or rules()
        shards = TenantShards(NOW) if keep_apart else None
        self.decider = Decider(
            known,
            Weigher(known, COUNT),
            Router(known, self.view),
            shards=shards,
            cancels=self.cancels,
        )
        self.windows = {p: DedupeWindow(3600.0, 1000) for p in range(PARTITIONS)}

    def decide(self, record: InputRecord, now: float = NOW) -> Outcome:
        return self.decider.decide(record, self.windows[record.partition], now)


def at_home(identity: str, fields: Mapping[str, Any], offset: int = 7) -> InputRecord:
    value = orjson.dumps({"id": identity, **fields})
    return record(value, home_partition(identity, PARTITIONS), offset)


def record(
    value: bytes | None, partition: int = 0, offset: int = 7, headers: Headers = ()
) -> InputRecord:
    return InputRecord(NAMES.prompts, partition, offset, NOW - 1, b"a key", value, headers)


def completion_of(outcome: Outcome) -> Completion:
    return decode_completion(outcome.outputs[0].value)


def header(output: Output, name: str) -> bytes | None:
    return dict(output.headers).get(name)


def bounded() -> Rules:
    """Two providers, neither of which can do everything."""
    openai = {"name": "m", "lacks": ["tools"], "context_tokens": 200}
    google = {"name": "m", "lacks": ["n"]}
    return rules(
        providers={
            "openai": {"models": {"chat-small": openai}},
            "google": {"models": {"chat-small": google}},
        }
    )


class TestRouting:
    def test_a_light_prompt_goes_to_the_preferred_providers_light_lane(self) -> None:
        outcome = Bench().decide(at_home("a", {"prompt": "Why is the sky blue?"}))
        (output,) = outcome.outputs
        work = decode_work(output.value, output.headers)
        assert outcome.verdict == "routed"
        assert output.topic == NAMES.work("openai")
        assert output.partition == PartitionSet(0, 6)
        assert output.key == b"a"
        assert work.lane == "light"
        assert work.input_tokens == 6 + 3
        assert work.accepted_at == NOW - 1
        assert work.route[0].provider == "openai"
        assert header(output, "reason") == work.route[0].reason.encode()

    def test_a_burst_within_a_slice_overflows_by_its_own_weight(self) -> None:
        bench = Bench()
        bench.view.update(
            {name: [state(name, speed=5_000.0)] for name in ("openai", "azure", "google")}
        )
        chosen = [
            bench.decide(at_home(f"p{i}", {"prompt": "hi", "max_tokens": 3000})).provider
            for i in range(20)
        ]
        assert chosen[0] == "openai"
        assert {"azure", "google"} <= set(chosen)

    def test_a_tenant_that_floods_a_crowded_lane_is_kept_out_of_the_others_partitions(self) -> None:
        bench = Bench(keep_apart=True)
        bench.view.update({name: [state(name, speed=50.0)] for name in bench.rules.work})
        outcomes = {
            tenant: bench.decide(
                at_home(f"{tenant}-{i}", {"prompt": "hi", "tenant": tenant, "max_tokens": 100}),
                NOW + i / 10,
            )
            for i in range(200)
            for tenant in ("noisy", "noisy", "noisy", "noisy", "noisy", f"quiet{i % 20}")
        }
        noisy = outcomes.pop("noisy").outputs[0]
        assert noisy.partition == PartitionSet(0, 5)
        assert decode_work(noisy.value).apart is not None
        quiet = [one.outputs[0] for one in outcomes.values()]
        assert {one.partition for one in quiet} == {PartitionSet(5, 1)}
        assert all(decode_work(one.value).apart is None for one in quiet)

    def test_batch_priority_has_its_own_lane_whatever_the_weight(self) -> None:
        outcome = Bench().decide(at_home("b", {"prompt": "hi", "priority": "batch"}))
        assert outcome.lane == "batch"
        assert outcome.outputs[0].partition == PartitionSet(11, 1)

    def test_a_pinned_prompt_stays_pinned(self) -> None:
        outcome = Bench().decide(at_home("c", {"prompt": "hi", "provider": "coreweave"}))
        assert (outcome.provider, outcome.reason) == ("coreweave", "pinned")

    def test_a_model_that_no_provider_serves_fails_with_a_dead_letter(self) -> None:
        models: dict[str, Any] = {"chat-small": {"default": True}, "orphan": {}}
        given = rules(models=models, providers={"azure": {"models": {"chat-small": "m"}}})
        outcome = Bench(given).decide(at_home("d", {"prompt": "hi", "model": "orphan"}))
        assert completion_of(outcome).error is not None
        assert outcome.code == "nobody_serves"
        assert outcome.outputs[1].topic == NAMES.dead_letters

    def test_a_prompt_goes_to_one_that_can_do_what_it_needs(self) -> None:
        bench = Bench(bounded())
        tools = [{"type": "function", "function": {"name": "f"}}]
        outcome = bench.decide(at_home("d", {"prompt": "hi", "tools": tools}))
        work = decode_work(outcome.outputs[0].value)
        assert (outcome.provider, outcome.reason) == ("google", "capable")
        assert work.route[0].reason.startswith("openai lacks tools; google has not reported")
        plain = bench.decide(at_home("e", {"prompt": "hi"}))
        assert (plain.provider, plain.reason) == ("openai", "preferred")

    def test_a_prompt_that_nobody_can_answer_is_refused_before_any_call(self) -> None:
        tools = [{"type": "function", "function": {"name": "f"}}]
        outcome = Bench(bounded()).decide(at_home("d", {"prompt": "hi", "tools": tools, "n": 2}))
        error = completion_of(outcome).error
        assert error is not None
        assert (error.type, error.code) == ("routing", "not_expressible")
        assert error.message == (
            "Nobody can take it: openai lacks tools; google lacks several answers at once."
        )
        assert outcome.outputs[1].topic == NAMES.dead_letters

    def test_a_prompt_too_long_for_one_goes_to_another(self) -> None:
        outcome = Bench(bounded()).decide(at_home("d", {"prompt": "word " * 300}))
        work = decode_work(outcome.outputs[0].value)
        assert outcome.provider == "google"
        assert "openai holds 200 tokens, not 30" in work.route[0].reason

    def test_nobody_is_refused_for_an_estimate_that_may_be_too_high(self) -> None:
        text = "The quick brown fox. " * 5_000
        tokens = Bench().decide(at_home("d", {"prompt": text})).input_tokens
        served = {"name": "m", "context_tokens": round(tokens * 0.9)}
        given = rules(providers={"azure": {"models": {"chat-small": served}}})
        assert Bench(given).decide(at_home("d", {"prompt": text})).provider == "azure"

    def test_a_very_long_text_is_estimated(self) -> None:
        outcome = Bench().decide(at_home("e", {"prompt": "The quick brown fox. " * 20_000}))
        assert outcome.how == "estimated"
        assert outcome.lane == "heavy"
        assert 70_000 < outcome.input_tokens < 160_000


def state(provider: str, speed: float) -> ProviderState:
    return ProviderState(
        provider=provider,
        worker=f"{provider}-0",
        at=NOW,
        breaker="closed",
        in_flight=4,
        slots=4,
        waiting=1,
        waiting_weight=100,
        speed=speed,
        waiting_by_lane={},
        in_flight_by_lane={},
    )


class TestHome:
    def test_an_id_away_from_home_is_forwarded_once_as_it_came(self) -> None:
        bench = Bench()
        home = home_partition("wanderer", PARTITIONS)
        away = (home + 1) % PARTITIONS
        value = orjson.dumps({"id": "wanderer", "prompt": "hi"})
        first = bench.decide(record(value, away, 5, (("x-own", b"\xff"),)))
        (output,) = first.outputs
        assert first.verdict == "forwarded"
        assert (output.topic, output.partition) == (NAMES.prompts, home)
        assert (output.key, output.value) == (b"a key", value)
        assert header(output, "x-own") == b"\xff"
        assert header(output, ORIGIN) == f"{away}-5".encode()
        accepted = header(output, ACCEPTED_AT)
        assert accepted is not None
        assert from_rfc3339(accepted.decode()) == NOW - 1
        arrived = InputRecord(NAMES.prompts, home, 9, NOW, output.key, output.value, output.headers)
        second = bench.decide(arrived)
        assert second.verdict == "routed"
        assert decode_work(second.outputs[0].value).accepted_at == NOW - 1

    def test_a_forwarded_record_is_never_forwarded_again(self) -> None:
        bench = Bench()
        away = (home_partition("x", PARTITIONS) + 1) % PARTITIONS
        moved = record(b'{"id":"x","prompt":"hi"}', away, 5, ((ORIGIN, b"3-4"),))
        assert bench.decide(moved).verdict == "routed"

    def test_a_record_without_id_is_at_home_everywhere(self) -> None:
        bench = Bench()
        for partition in range(PARTITIONS):
            outcome = bench.decide(record(b"Why is the sky blue?", partition))
            assert outcome.outputs[0].key == f"{partition}-7".encode()

    def test_a_bad_record_with_a_readable_id_is_forwarded_like_a_good_one(self) -> None:
        away = (home_partition("bad", PARTITIONS) + 1) % PARTITIONS
        assert Bench().decide(record(b'{"id":"bad"}', away)).verdict == "forwarded"


class TestSeenBefore:
    def test_the_second_record_of_an_id_is_dropped(self) -> None:
        bench = Bench()
        assert bench.decide(at_home("twice", {"prompt": "hi"}, 3)).verdict == "routed"
        again = bench.decide(at_home("twice", {"prompt": "something else"}, 4))
        assert (again.verdict, again.outputs) == ("duplicate", ())

    def test_a_record_read_again_is_not_its_own_duplicate(self) -> None:
        bench = Bench()
        first = bench.decide(at_home("crash", {"prompt": "hi"}, 3))
        second = bench.decide(at_home("crash", {"prompt": "hi"}, 3))
        assert first.again is False
        assert (second.verdict, second.again) == ("routed", True)
        assert second.outputs == first.outputs

    def test_a_good_record_after_a_bad_one_of_the_same_id_is_a_duplicate(self) -> None:
        bench = Bench()
        assert bench.decide(at_home("same", {}, 3)).verdict == "failed"
        assert bench.decide(at_home("same", {"prompt": "hi"}, 4)).verdict == "duplicate"


class TestEndings:
    def test_a_deadline_that_has_passed_ends_as_expired_without_a_dead_letter(self) -> None:
        outcome = Bench().decide(at_home("late", {"prompt": "hi", "timeout_s": 0.5}))
        completion = completion_of(outcome)
        assert outcome.verdict == "expired"
        assert len(outcome.outputs) == 1
        assert (completion.status, completion.calls) == ("expired", 0)

    def test_a_failed_completion_goes_where_the_reply_is_awaited(self) -> None:
        given = record(b"{broken", 2, 5, (("reply-partition", b"4"),))
        outcome = Bench().decide(given)
        assert outcome.outputs[0].partition == 4
        assert completion_of(outcome).id == "2-5"

    def test_by_key_a_completion_stays_beside_its_prompt(self) -> None:
        given = rules(completions={"partition_by": "key"})
        outcome = Bench(given).decide(at_home("k", {}))
        assert outcome.outputs[0].partition == home_partition("k", PARTITIONS)

    @pytest.mark.parametrize("value", [None, b"", b"{", b"\xff\xfe", b'{"id":"q"}'])
    def test_a_dead_letter_has_the_original_key_bytes_and_headers(
        self, value: bytes | None
    ) -> None:
        home = home_partition("q", PARTITIONS)
        outcome = Bench().decide(record(value, home, 5, (("x", b"\xff\x00"), ("y", b""))))
        letter = outcome.outputs[1]
        assert (letter.key, letter.value) == (b"a key", value)
        assert letter.headers[-2:] == (("x", b"\xff\x00"), ("y", b""))
        assert header(letter, "dlt-topic") == NAMES.prompts.encode()
        assert header(letter, "dlt-offset") == b"5"
        assert header(letter, "dlt-error") == outcome.code.encode()


class TestSize:
    def test_a_work_record_that_is_too_large_fails(self) -> None:
        given = rules(most_bytes={NAMES.work("openai"): 5_000, NAMES.dead_letters: 10_000})
        outcome = Bench(given).decide(at_home("big", {"prompt": "x" * 5_000}))
        assert outcome.code == "too_large"
        assert outcome.outputs[1].value is not None

    def test_a_prompt_that_cannot_be_forwarded_for_its_size_fails_where_it_is(self) -> None:
        away = (home_partition("big", PARTITIONS) + 1) % PARTITIONS
        value = orjson.dumps({"id": "big", "prompt": "x" * 5_000})
        given = rules(most_bytes={NAMES.prompts: 5_100, NAMES.dead_letters: 9_000})
        outcome = Bench(given).decide(record(value, away))
        assert (outcome.verdict, outcome.code) == ("failed", "too_large")
        assert completion_of(outcome).id == "big"

    def test_a_dead_letter_without_room_for_the_value_still_names_its_place(self) -> None:
        given = rules(most_bytes={NAMES.dead_letters: 2_000})
        outcome = Bench(given).decide(record(b"{" + b"x" * 5_000, 3, 9))
        letter = outcome.outputs[1]
        assert letter.value is None
        assert header(letter, "dlt-offset") == b"9"


class TestHeaderNames:
    @pytest.mark.parametrize("name", ["a\udcff", "a\x00b", "\ufffd"])
    def test_a_name_that_is_no_text_fails_and_keeps_its_bytes(self, name: str) -> None:
        home = home_partition("h", PARTITIONS)
        given = record(b'{"id":"h","prompt":"hi"}', home, 5, ((name, b"1"), ("ok", b"2")))
        outcome = Bench().decide(given)
        letter = outcome.outputs[1]
        assert outcome.code == "invalid_header"
        assert completion_of(outcome).id == "h"
        names = [name.encode("utf-8", "surrogateescape"), b"ok"]
        assert header(letter, EXACT_NAMES) == ",".join(n.hex() for n in names).encode()
        for output in outcome.outputs:
            for written, _ in output.headers:
                written.encode()  # librdkafka takes it
                assert "\x00" not in written


def test_a_defect_in_weighing_ends_one_prompt_and_not_the_classifier() -> None:
    def broken(_texts: object) -> tuple[int, How]:
        raise ZeroDivisionError

    known = rules()
    decider = Decider(known, Weigher(known, broken), Router(known, ProviderView(NOW)))
    outcome = decider.decide(record(b"Why is the sky blue?", 2, 5), DedupeWindow(60, 10), NOW)
    assert (outcome.verdict, outcome.code) == ("failed", "internal_error")
    assert completion_of(outcome).id == "2-5"


class TestCancelled:
    def test_a_prompt_that_was_cancelled_first_ends_without_a_provider(self) -> None:
        bench = Bench()
        bench.cancels.note("p1", NOW)
        outcome = bench.decide(at_home("p1", {"prompt": "x", "metadata": {"k": "v"}}))
        assert outcome.verdict == "cancelled"
        ended = completion_of(outcome)
        assert (ended.status, ended.provider, ended.calls) == ("cancelled", "", 0)
        assert ended.error is not None
        assert ended.error.code == "cancelled"
        assert ended.metadata == {"k": "v"}
        assert len(outcome.outputs) == 1
        assert bench.decide(at_home("p2", {"prompt": "x"})).verdict == "routed"

    def test_an_old_cancel_does_not_end_a_later_prompt_with_its_id(self) -> None:
        bench = Bench()
        bench.cancels.note("p1", NOW - 1 - SKEW_S - 0.1)
        assert bench.decide(at_home("p1", {"prompt": "x"})).verdict == "routed"

    def test_what_is_no_prompt_or_a_duplicate_is_not_cancelled(self) -> None:
        bench = Bench()
        for name in ("bad", "p1"):
            bench.cancels.note(name, NOW)
        assert bench.decide(at_home("bad", {"prompt": ""})).verdict == "failed"
        assert bench.decide(at_home("p1", {"prompt": "x"}, 3)).verdict == "cancelled"
        assert bench.decide(at_home("p1", {"prompt": "x"}, 5)).verdict == "duplicate"

    def test_one_that_stands_away_from_home_is_forwarded_first_and_ends_there(self) -> None:
        bench = Bench()
        bench.cancels.note("p1", NOW)
        home = home_partition("p1", PARTITIONS)
        away = record(orjson.dumps({"id": "p1", "prompt": "x"}), (home + 1) % PARTITIONS)
        forwarded = bench.decide(away)
        assert forwarded.verdict == "forwarded"
        (output,) = forwarded.outputs
        at_last = record(output.value, home, headers=output.headers)
        assert bench.decide(at_last).verdict == "cancelled"
