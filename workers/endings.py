"""How a piece of work ends, as what the transactional writer commits for it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import orjson

from broker.core.call_costs import EndedCall, Spent, spent_by
from broker.core.lanes import LanePlan
from broker.core.prices import UNKNOWN, Prices
from broker.core.routing import Decision
from broker.core.sharding import apart
from broker.log.completion_place import completion_place
from broker.log.topic_names import TopicNames
from broker.log.units import Output, PartitionSet, Unit
from broker.records.completion import Completion, Failure, Status, encode_completion
from broker.records.dead_letter import dead_letter_headers
from broker.records.headers import completion_headers
from broker.records.ids import is_valid_id
from broker.records.incoming import Source
from broker.records.times import from_rfc3339, to_rfc3339
from broker.records.usage import Usage
from broker.records.work import RouteStep, Work, encode_work, work_headers
from workers.charging import corrections
from workers.job import Job, Place, UnreadableWork
from workers.providers.dialect import Answer

_LONGEST_NAME: Final = 256
_NOWHERE: Final = Source(-1, -1)


@dataclass(frozen=True, slots=True)
class Deployment:
    """Where records go. `work_lanes` holds the lanes of each provider's work topic."""

    provider: str
    topics: TopicNames
    completion_partitions: int
    dead_letter_partitions: int
    work_lanes: Mapping[str, LanePlan]
    by_key: bool = False

    def completion_place(self, prompt_id: str, reply_partition: int | None) -> int | PartitionSet:
        """The partition a completion goes to, or all, for the writer to choose among."""
        return completion_place(
            prompt_id,
            reply_partition,
            partitions=self.completion_partitions,
            by_key=self.by_key,
        )


class Endings:
    """Makes completions, moves and dead letters of one provider's worker."""

    def __init__(
        self, deployment: Deployment, prices: Mapping[str, Prices], models: Mapping[str, str]
    ) -> None:
        self._deployment = deployment
        self._prices = prices
        self._models = models

    def spent(self, model: str, call: EndedCall) -> Spent:
        """What a call for this alias cost here."""
        return spent_by(call, self._prices.get(model, UNKNOWN))

    def completion(
        self,
        job: Job,
        status: Status,
        now: float,
        *,
        answer: Answer | None = None,
        error: Failure | None = None,
    ) -> Completion:
        """The completion of a job that ends at `now`; a refusal keeps the provider's body."""
        work = job.work
        usage = Usage() if answer is None else answer.usage
        cost = job.whole_cost
        began = now if job.first_call_at is None else job.first_call_at
        return Completion(
            id=work.id,
            tenant=work.tenant,
            status=status,
            kind=work.kind,
            model=work.model,
            provider=self._deployment.provider,
            provider_model=self._models.get(work.model, ""),
            lane=job.lane,
            weight=work.weight,
            input_tokens=usage.input_tokens or work.input_tokens,
            output_tokens=usage.output_tokens or 0,
            cost_usd=cost.usd,
            cost_estimated=cost.estimated,
            accepted_at=work.accepted_at,
            completed_at=now,
            queued_ms=max(0, round((began - work.accepted_at) * 1000)),
            provider_ms=round(job.provider_s * 1000),
            calls=job.calls,
            route=work.route,
            error=error,
            metadata=work.metadata,
            text=answer.text if answer is not None and status == "succeeded" else None,
            body=None if answer is None else answer.body,
        )

    def completed(self, job: Job, completion: Completion, value: bytes) -> Unit:
        """The unit that commits a completion; `value` is its encoding."""
        ended = self._completion_output(completion, value, job.work)
        charges = corrections(job, completion, self._deployment.topics.tenants)
        return _unit(job.place, (ended, *charges), job)

    def _completion_output(self, completion: Completion, value: bytes, work: Work) -> Output:
        headers = completion_headers(
            work.headers,
            prompt_id=completion.id,
            status=completion.status,
            provider=completion.provider,
            lane=completion.lane,
            at=to_rfc3339(completion.completed_at),
        )
        return Output(
            self._deployment.topics.completions,
            self._deployment.completion_place(work.id, work.reply_partition),
            completion.id.encode(),
            value,
            headers,
        )

    def moved(self, job: Job, chosen: Decision, now: float) -> Unit:
        """The unit that hands the work to another provider."""
        to = chosen.provider
        cost = job.whole_cost
        work = job.work.moved(
            RouteStep(to, chosen.sentence, now, str(chosen.reason), chosen.notes),
            attempt=job.calls,
            cost_usd=cost.usd,
            cost_estimated=cost.estimated,
        )
        lanes = self._deployment.work_lanes[to].partitions
        own = lanes[job.lane]
        if work.apart is not None:
            own = apart(work.tenant, own, work.apart)
        output = Output(
            self._deployment.topics.work(to),
            PartitionSet(own.start, len(own)),
            work.id.encode(),
            encode_work(work),
            work_headers(work),
        )
        return _unit(job.place, (output,), job)

    def unreadable(self, record: UnreadableWork, now: float, *, bare: bool = False) -> Unit:
        """A dead letter, and a failed completion when the record still tells whose it was.

        `bare` leaves the record's own value and headers out, where the broker does not take them:
        the place in the dead letter has to do.
        """
        place = record.place
        headers = () if bare else record.headers
        outputs = [
            Output(
                self._deployment.topics.dead_letters,
                PartitionSet(0, self._deployment.dead_letter_partitions),
                record.key,
                None if bare else record.value,
                (
                    *dead_letter_headers(
                        place,
                        stage="worker",
                        error=record.code,
                        message=record.message,
                        attempt=0,
                        at=now,
                    ),
                    *headers,
                ),
            )
        ]
        told = _still_told(record.value, now)
        if told is not None:
            job = Job(place, record.lane, record.size, replace(told, headers=headers), 0)
            error = Failure("internal", record.code, record.message)
            completion = self.completion(job, "failed", now, error=error)
            value = encode_completion(completion)
            outputs.append(self._completion_output(completion, value, job.work))
        return _unit(place, tuple(outputs), record)


def _unit(place: Place, outputs: tuple[Output, ...], tag: object) -> Unit:
    return Unit(place.topic, place.partition, place.offset, place.epoch, outputs, tag)


def _still_told(value: bytes | None, now: float) -> Work | None:
    """What an unreadable record says of its prompt, if it says an id: enough to end it."""
    try:
        data = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    if not isinstance(data, dict):
        return None
    prompt_id = data.get("id")
    if not isinstance(prompt_id, str) or not is_valid_id(prompt_id):
        return None
    reply = data.get("reply_partition")
    return Work(
        id=prompt_id,
        tenant=_text(data.get("tenant"), "default"),
        kind=_text(data.get("kind"), "chat"),
        model=_text(data.get("model"), ""),
        priority="standard",
        provider=None,
        deadline=None,
        stream=False,
        accepted_at=_time(data.get("accepted_at"), now),
        source=_NOWHERE,
        reply_partition=reply if isinstance(reply, int) else None,
        weight=0,
        lane="",
        input_tokens=0,
        expected_output_tokens=0,
        attempt=0,
        route=(),
        fields={},
        metadata={},
    )


def _text(given: object, otherwise: str) -> str:
    return given if isinstance(given, str) and len(given) <= _LONGEST_NAME else otherwise


def _time(given: object, otherwise: float) -> float:
    try:
        return from_rfc3339(given) if isinstance(given, str) else otherwise
    except ValueError:
        return otherwise
