"""What becomes of one record of `<prefix>.prompts`. Pure: no I/O, no clock; never raises.

record -> prompt or rejection -> home partition -> seen before? -> expired or cancelled? -> weight
and lane -> the tenant's limits -> route -> the records to write together with the record's offset.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from broker.classifier.door import Door, OpenDoor
from broker.classifier.header_names import all_writable
from broker.classifier.outputs import Outputs
from broker.classifier.router import Router
from broker.classifier.rules import Rules
from broker.classifier.turned_away import nobody_takes, too_late
from broker.classifier.weighing import Weighed, Weigher
from broker.classifier.work_record import work_of
from broker.core import dedupe
from broker.core.cancels import Cancels
from broker.core.routing import NoDecision
from broker.core.sharding import TenantShards
from broker.log.units import Output
from broker.records import headers as names
from broker.records.completion import Failure
from broker.records.incoming import InputRecord
from broker.records.parsing import parse_prompt
from broker.records.prompt import Prompt, Rejected
from broker.records.work import RouteStep

INVALID: Final = "invalid_request"

VerdictName = Literal["routed", "failed", "expired", "cancelled", "duplicate", "forwarded"]


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
    candidates: tuple[Mapping[str, Any], ...] = ()
    """What was known of each provider, and why it lost."""
    input_tokens: int = 0
    how: str = ""
    again: bool = False
    """Read again at its own offset, after its first decision was rolled back."""


class Decider:
    """The decisions of one classifier. Without `shards` no tenant is kept apart."""

    def __init__(
        self,
        rules: Rules,
        weigher: Weigher,
        router: Router,
        door: Door | None = None,
        shards: TenantShards | None = None,
        *,
        cancels: Cancels | None = None,
    ) -> None:
        self._rules = rules
        self._outputs = Outputs(rules)
        self._weigher = weigher
        self._router = router
        self._door = door or OpenDoor()
        self._shards = shards
        self._cancels = Cancels() if cancels is None else cancels

    def keep_apart(self, shards: TenantShards | None) -> None:
        """Which tenants are kept apart from the next prompt on; None: nobody is."""
        self._shards = shards

    def decide(self, record: InputRecord, window: dedupe.DedupeWindow, now: float) -> Outcome:
        """Decide on one record at `now` (unix seconds); `window` has its partition's ids."""
        sound = all_writable(record.headers)
        read = record if sound else replace(record, headers=())
        prompt = parse_prompt(read, self._rules.catalog)
        again = False
        if prompt.explicit_id:
            if self._is_away(read, prompt):
                forwarded = self._outputs.forward(record, prompt)
                if self._outputs.fits(forwarded):
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
        if self._cancels.covers(prompt.id, prompt.accepted_at):
            return self._cancel(record, prompt, now)
        return self._route(record, prompt, now)

    def _is_away(self, record: InputRecord, prompt: Prompt | Rejected) -> bool:
        """Whether the record is to be forwarded: once only, so never when it was before."""
        if dedupe.home_partition(prompt.id, self._rules.prompt_partitions) == record.partition:
            return False
        return record.header(names.ORIGIN) is None

    def _route(self, record: InputRecord, prompt: Prompt, now: float) -> Outcome:
        weighed = self._weigher.weigh(prompt, now)
        admitted = self._door.admit(prompt, weighed, now)
        if isinstance(admitted, Failure):
            return self.fail(record, prompt, admitted, now, weighed=weighed)
        chosen = self._router.choose(prompt, weighed, now)
        if isinstance(chosen, NoDecision):
            return self.fail(record, prompt, nobody_takes(chosen, weighed), now, weighed=weighed)
        lane, shards = weighed.lane, self._shards
        own = self._rules.lanes[chosen.provider].partitions[lane]
        step = RouteStep(chosen.provider, chosen.sentence, now, str(chosen.reason), chosen.notes)
        kept_apart = None if shards is None else shards.share(lane, prompt.tenant, now)
        work = work_of(prompt, weighed, admitted, step, apart=kept_apart)
        if shards is not None:
            own = shards.within(lane, prompt.tenant, own, now)
        output = self._outputs.work(work, chosen.provider, own)
        if not self._outputs.fits(output):
            return self.too_large(record, prompt, now)
        self._router.sent(chosen, weighed, now)
        if shards is not None:
            shards.sent(lane, prompt.tenant, weighed.weight, chosen.wait_s, now)
        self._door.routed(prompt, weighed, admitted, now)
        return Outcome(
            "routed",
            (output, *admitted.charges),
            provider=chosen.provider,
            lane=lane,
            reason=str(chosen.reason),
            candidates=step.candidates,
            input_tokens=weighed.input_tokens,
            how=weighed.how,
        )

    def _expire(self, record: InputRecord, prompt: Prompt, now: float) -> Outcome:
        late = too_late()
        return Outcome(
            "expired",
            (self._outputs.completion(record, prompt, "expired", late, now),),
            code=late.code,
        )

    def _cancel(self, record: InputRecord, prompt: Prompt, now: float) -> Outcome:
        asked = Failure("cancelled", "cancelled", "It was cancelled before it was routed.")
        ended = self._outputs.completion(record, prompt, "cancelled", asked, now)
        return Outcome("cancelled", (ended,), code=asked.code)

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
        weighed: Weighed | None = None,
    ) -> Outcome:
        """A failed completion, and a dead letter with the record as it came."""
        completion = self._outputs.completion(
            record,
            prompt,
            "failed",
            problem,
            now,
            lane="" if weighed is None else weighed.lane,
            weight=0 if weighed is None else weighed.weight,
            tokens=0 if weighed is None else weighed.input_tokens,
        )
        why = problem.not_routed
        return Outcome(
            "failed",
            (completion, self._outputs.dead_letter(record, problem, now)),
            problem.code,
            candidates=() if why is None else why.candidates,
        )
