"""The records that decisions are written as, and whether the broker takes them. Pure."""

from dataclasses import replace
from typing import Final

from broker.classifier.header_names import EXACT_NAMES, all_writable, exact_names, writable
from broker.classifier.rules import Rules
from broker.core import dedupe
from broker.log.completion_place import completion_place
from broker.log.units import Output, PartitionSet
from broker.records import headers as names
from broker.records.completion import Completion, Failure, Status, encode_completion
from broker.records.dead_letter import dead_letter_headers
from broker.records.headers import completion_headers
from broker.records.incoming import Headers, InputRecord
from broker.records.prompt import Prompt, Rejected
from broker.records.times import to_rfc3339
from broker.records.work import Work, encode_work, work_headers

STAGE: Final = "classifier"
RECORD_OVERHEAD: Final = 256
"""Bytes of a batch around its one record, generously."""
DEFAULT_MOST_BYTES: Final = 1_048_588
"""Kafka's `max.message.bytes` where a topic says nothing."""


class Outputs:
    """Makes the records of one classifier."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def forward(self, record: InputRecord, prompt: Prompt | Rejected) -> Output:
        """The record for its home partition, as it came, with its origin."""
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

    def work(self, work: Work, provider: str, own: range) -> Output:
        """The work record: any of these partitions of the provider's topic."""
        return Output(
            topic=self._rules.work[provider],
            partition=PartitionSet(own.start, len(own)),
            key=work.id.encode(),
            value=encode_work(work),
            headers=work_headers(work),
        )

    def completion(
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
        """The end of a prompt that no provider was asked about."""
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
            partition=completion_place(
                prompt.id,
                prompt.reply_partition,
                partitions=self._rules.completion_partitions,
                by_key=self._rules.completions_by_key,
            ),
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

    def dead_letter(self, record: InputRecord, problem: Failure, now: float) -> Output:
        """The record as it came, and why it ended."""
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
        return letter if self.fits(letter) else replace(letter, value=None)

    def fits(self, output: Output) -> bool:
        """Whether the broker takes it."""
        return _size(output) <= self._rules.most_bytes.get(output.topic, DEFAULT_MOST_BYTES)


def _size(output: Output) -> int:
    """Bytes of a batch with only this record, at most."""
    return (
        RECORD_OVERHEAD
        + len(output.key or b"")
        + len(output.value or b"")
        + sum(len(name) * 4 + len(value or b"") + 8 for name, value in output.headers)
    )
