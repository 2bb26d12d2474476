"""What becomes of one record of `<prefix>.prompts`. Pure: no I/O, no clock; never raises.

record -> prompt or rejection -> home partition -> seen before? -> expired? -> weight, lane, route
-> the records to write together with the record's offset.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from broker.classifier.header_names import EXACT_NAMES, all_writable, exact_names, writable
from broker.classifier.rules import Rules
from broker.core import dedupe
from broker.core.lanes import Lane, lane_for
from broker.core.provider_view import Candidate
from broker.core.routing import NoDecision, Request, choose
from broker.core.weighing import content_of, expected_output, weigh
from broker.log.units import Output, PartitionSet
from broker.records import headers as names
from broker.records.completion import Completion, Failure, Status, encode_completion
from broker.records.dead_letter import dead_letter_headers
from broker.records.headers import completion_headers
from broker.records.incoming import Headers, InputRecord
from broker.records.parsing import parse_prompt
from broker.records.prompt import Prompt, Rejected
from broker.records.times import to_rfc3339
from broker.records.work import RouteStep, Work, encode_work, work_headers

STAGE: Final = "classifier"
INVALID: Final = "invalid_request"
RECORD_OVERHEAD: Final = 256
"""Bytes of a batch around its one record, generously."""
DEFAULT_MOST_BYTES: Final = 1_048_588
"""Kafka's `max.message.bytes` where a topic says nothing."""

VerdictName = Literal["routed", "failed", "expired", "duplicate", "forwarded"]
CountTokens = Callable[[Sequence[str]], tuple[int, str]]


class Providers(Protocol):
    """Where a decision learns of the providers and leaves its own mark."""

    def candidates(self, providers: Sequence[str], now: float) -> Sequence[Candidate]:
        """Figures of these providers, in order of preference."""

    def sent(self, provider: str, weight: int, now: float) -> None:
        """A prompt of this weight goes to the provider."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The records to write for one prompt (none for a duplicate), and what to count."""

    verdict: VerdictName
    outputs: tuple[Output, ...] = ()
    code: str = ""
    """Of a failure."""
    provider: str = ""
    lane: str = ""
    reason: str = ""
    """Of a route: the code of why this provider."""
    input_tokens: int = 0
    how: str = ""
    again: bool = False
    """Read again at its own offset, after its first decision was rolled back."""


class Decider:
    """The decisions of one classifier. `window` holds the ids of the record's partition."""

    def __init__(self, rules: Rules, providers: Providers, count_tokens: CountTokens) -> None:
        self._rules = rules
        self._providers = providers
        self._count = count_tokens

    def decide(self, record: InputRecord, window: dedupe.DedupeWindow, now: float) -> Outcome:
        """Decide on one record at `now` (unix seconds)."""
        sound = all_writable(record.headers)
        read = record if sound else replace(record, headers=())
        prompt = parse_prompt(read, self._rules.catalog)
        again = False
        if prompt.explicit_id:
            if self._is_away(read, prompt):
                forwarded = self._forward(record, prompt)
                if self._fits(forwarded):
                    return Outcome("forwarded", (forwarded,))
                # At the limit of the prompts' topic there is no room for the two headers.
                return self.too_large(record, prompt, now)
            seen = window.check(prompt.id, record.offset, record.timestamp_s, now)
            if seen.kind is dedupe.Kind.DUPLICATE:
                return Outcome("duplicate")
            again = seen.kind is dedupe.Kind.SAME
        try:
            outcome = self._judge(record, prompt, sound=sound, now=now)
        except Exception as error:  # noqa: BLE001 - a defect of ours may end one prompt, not stop a partition
            problem = Failure(
                "internal",
                "internal_error",
                f"The classifier failed on it: {type(error).__name__}.",
            )
            outcome = self.fail(record, prompt, problem, now)
        return replace(outcome, again=True) if again else outcome

    def _judge(
        self, record: InputRecord, prompt: Prompt | Rejected, *, sound: bool, now: float
    ) -> Outcome:
        if isinstance(prompt, Rejected):
            return self.fail(record, prompt, Failure(INVALID, prompt.code, prompt.message), now)
        if not sound:
            problem = Failure(INVALID, "invalid_header", "The name of a header is not UTF-8 text.")
            return self.fail(record, prompt, problem, now)
        if prompt.deadline is not None and prompt.deadline <= now:
            return self._expire(record, prompt, now)
        return self._route(record, prompt, now)

    def _is_away(self, record: InputRecord, prompt: Prompt | Rejected) -> bool:
        """Whether the record is to be forwarded: once only, so never when it was before."""
        if dedupe.home_partition(prompt.id, self._rules.prompt_partitions) == record.partition:
            return False
        return record.header(names.ORIGIN) is None

    def _forward(self, record: InputRecord, prompt: Prompt | Rejected) -> Output:
        origin = f"{record.partition}-{record.offset}".encode()
        accepted = to_rfc3339(prompt.accepted_at).encode()
        kept = tuple(
            (name, value)
            for name, value in writable(record.headers)
            if name not in {names.ORIGIN, names.ACCEPTED_AT}
        )
        return Output(
            topic=self._rules.prompts,
            partition=dedupe.home_partition(prompt.id, self._rules.prompt_partitions),
            key=record.key,
            value=record.value,
            headers=(*kept, (names.ORIGIN, origin), (names.ACCEPTED_AT, accepted)),
        )

    def _route(self, record: InputRecord, prompt: Prompt, now: float) -> Outcome:
        rules = self._rules
        content = content_of(prompt.fields, rules.equivalents)
        tokens, how = self._count(content.texts)
        tokens += content.extra_tokens
        output_tokens = expected_output(prompt.fields, prompt.kind, tokens, rules.equivalents)
        weight = weigh(tokens, output_tokens, rules.output_factor)
        lane = lane_for(weight, prompt.priority, rules.thresholds)
        serving = rules.catalog.providers.get(prompt.model, ())
        chosen = choose(
            Request(lane, weight, pin=prompt.provider),
            self._providers.candidates(serving, now) if serving else (),
            rules.routing,
        )
        if isinstance(chosen, NoDecision):
            problem = Failure(
                "routing", str(chosen.reason), f"Nobody can take it: {chosen.sentence}."
            )
            return self.fail(record, prompt, problem, now, lane=lane, weight=weight, tokens=tokens)
        work = Work(
            id=prompt.id,
            tenant=prompt.tenant,
            kind=prompt.kind,
            model=prompt.model,
            priority=prompt.priority,
            provider=prompt.provider,
            deadline=prompt.deadline,
            stream=prompt.stream,
            accepted_at=prompt.accepted_at,
            source=prompt.source,
            reply_partition=prompt.reply_partition,
            weight=weight,
            lane=lane,
            input_tokens=tokens,
            expected_output_tokens=output_tokens,
            attempt=0,
            route=(RouteStep(chosen.provider, chosen.sentence, now),),
            fields=prompt.fields,
            metadata=prompt.metadata,
            headers=prompt.headers,
        )
        output = self._work_output(work, lane, chosen.provider)
        if not self._fits(output):
            return self.too_large(record, prompt, now)
        self._providers.sent(chosen.provider, weight, now)
        return Outcome(
            "routed",
            (output,),
            provider=chosen.provider,
            lane=lane,
            reason=str(chosen.reason),
            input_tokens=tokens,
            how=how,
        )

    def _work_output(self, work: Work, lane: Lane, provider: str) -> Output:
        own = self._rules.lanes[provider].partitions[lane]
        return Output(
            topic=self._rules.work[provider],
            partition=PartitionSet(own.start, len(own)),
            key=work.id.encode(),
            value=encode_work(work),
            headers=work_headers(work),
        )

    def _expire(self, record: InputRecord, prompt: Prompt, now: float) -> Outcome:
        late = Failure(
            "expired", "deadline_passed", "The deadline had passed before the prompt was routed."
        )
        return Outcome(
            "expired", (self._completion(record, prompt, "expired", late, now),), code=late.code
        )

    def too_large(self, record: InputRecord, prompt: Prompt | Rejected, now: float) -> Outcome:
        """The end of a prompt whose next record the broker would not take."""
        problem = Failure(
            INVALID,
            "too_large",
            "The prompt with its headers is larger than a record of the broker may be.",
        )
        return self.fail(record, prompt, problem, now)

    def fail(
        self,
        record: InputRecord,
        prompt: Prompt | Rejected,
        problem: Failure,
        now: float,
        *,
        lane: str = "",
        weight: int = 0,
        tokens: int = 0,
    ) -> Outcome:
        """A failed completion, and a dead letter with the record as it came."""
        completion = self._completion(
            record, prompt, "failed", problem, now, lane=lane, weight=weight, tokens=tokens
        )
        return Outcome(
            "failed", (completion, self._dead_letter(record, problem, now)), problem.code
        )

    def _completion(
        self,
        record: InputRecord,
        prompt: Prompt | Rejected,
        status: Status,
        problem: Failure,
        now: float,
        *,
        lane: str = "",
        weight: int = 0,
        tokens: int = 0,
    ) -> Output:
        completion = Completion(
            id=prompt.id,
            tenant=prompt.tenant,
            status=status,
            kind=prompt.kind if isinstance(prompt, Prompt) else "",
            model=prompt.model if isinstance(prompt, Prompt) else "",
            provider="",
            provider_model="",
            lane=lane,
            weight=weight,
            input_tokens=tokens,
            output_tokens=0,
            cost_usd=None,
            accepted_at=prompt.accepted_at,
            completed_at=now,
            queued_ms=max(0, round((now - prompt.accepted_at) * 1000)),
            provider_ms=0,
            calls=0,
            error=problem,
            metadata=prompt.metadata,
        )
        return Output(
            topic=self._rules.completions,
            partition=self._completion_place(prompt),
            key=prompt.id.encode(),
            value=encode_completion(completion),
            headers=completion_headers(
                writable(record.headers),
                prompt_id=prompt.id,
                status=status,
                provider="",
                lane=lane,
                at=to_rfc3339(now),
            ),
        )

    def _completion_place(self, prompt: Prompt | Rejected) -> int | PartitionSet:
        count = self._rules.completion_partitions
        if prompt.reply_partition is not None and prompt.reply_partition < count:
            return prompt.reply_partition
        if self._rules.completions_by_key:
            return dedupe.home_partition(prompt.id, count)
        return PartitionSet(0, count)

    def _dead_letter(self, record: InputRecord, problem: Failure, now: float) -> Output:
        ours = dead_letter_headers(
            record, stage=STAGE, error=problem.code, message=problem.message, attempt=0, at=now
        )
        exact: Headers = ()
        if not all_writable(record.headers):
            exact = ((EXACT_NAMES, exact_names(record.headers)),)
        letter = Output(
            topic=self._rules.dead_letters,
            partition=PartitionSet(0, self._rules.dead_letter_partitions),
            key=record.key,
            value=record.value,
            headers=(*ours, *exact, *writable(record.headers)),
        )
        # On a broker with small limits the place in `dlt-offset` has to do.
        return letter if self._fits(letter) else replace(letter, value=None)

    def _fits(self, output: Output) -> bool:
        return _size(output) <= self._rules.most_bytes.get(output.topic, DEFAULT_MOST_BYTES)


def _size(output: Output) -> int:
    """Bytes of a batch with only this record, at most."""
    return (
        RECORD_OVERHEAD
        + len(output.key or b"")
        + len(output.value or b"")
        + sum(len(name) * 4 + len(value or b"") + 8 for name, value in output.headers)
    )
