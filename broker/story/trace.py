"""One prompt's story, made from the records of the topics. Pure."""

from dataclasses import dataclass
from math import inf
from typing import Any

from broker.records.calls import CallEvent
from broker.records.completion import Completion
from broker.records.control import Cancel
from broker.records.incoming import InputRecord
from broker.records.prompt import Prompt, Rejected
from broker.records.times import to_rfc3339
from broker.records.work import Work
from broker.story.choices import choices_of_end, choices_of_work
from broker.story.dead_letters import DeadLetter
from broker.story.events import Event, EventName, in_order


@dataclass(frozen=True, slots=True)
class Trace:
    """The story of one id. Times are unix seconds.

    `state` is `completed`, or says in words where the prompt is; `status` is that of its last
    completion.
    """

    id: str
    state: str
    accepted_at: float
    completed_at: float | None
    status: str | None
    events: tuple[Event, ...]

    def as_json(self) -> dict[str, Any]:
        """What `trace --json` prints."""
        ended = self.completed_at
        return {
            "id": self.id,
            "state": self.state,
            "status": self.status,
            "accepted_at": to_rfc3339(self.accepted_at),
            "completed_at": None if ended is None else to_rfc3339(ended),
            "events": [event.as_json() for event in self.events],
        }


class Story:
    """The fold. Feed it the prompts of the id first, in the order of their partition.

    `window_s` is dedupe's: within it the id's second record is dropped.
    """

    def __init__(self, identity: str, window_s: float) -> None:
        self.id = identity
        self.due = 0
        """How many completions there should be, of the records that are at home."""
        self.first_at = inf
        self.last_at = -inf
        """When the id was asked first and last, as unix seconds."""
        self.prompts: list[InputRecord] = []
        self.works: list[tuple[InputRecord, Work]] = []
        self.completions: list[Completion] = []
        self._window_s = window_s
        self._seen_at = -inf
        self._answered = -1
        self._events: list[Event] = []
        self._started: list[tuple[InputRecord, CallEvent]] = []

    def prompt(
        self, record: InputRecord, what: Prompt | Rejected, *, origin: str = "", away: bool = False
    ) -> None:
        """A record of the prompts' topic; `origin` is the place it was forwarded from.

        `away`: it waits in another partition than its id's, to be forwarded or already forwarded.
        """
        self.prompts.append(record)
        at = record.timestamp_s
        self.first_at, self.last_at = min(self.first_at, at), max(self.last_at, at)
        details: dict[str, Any] = {"bytes": len(record.value or b"")}
        if isinstance(what, Prompt):
            details |= {"tenant": what.tenant, "model": what.model, "priority": what.priority}
            if what.deadline is not None:
                details["deadline"] = to_rfc3339(what.deadline)
        if away:
            self._add(record, "accepted", at, "accepted, away from its home partition", details)
            return
        dropped = at - self._seen_at <= self._window_s
        self._seen_at = at
        name: EventName = "accepted"
        text = "accepted"
        if origin:
            name, text = "forwarded", f"forwarded home from {origin}"
            details = {"origin": origin}
        if dropped:
            name = "duplicate"
            text = f"{text if origin else 'sent again'}: dropped, as {self._answered} has its id"
            details |= {"of": self._answered}
        else:
            self._answered = record.offset
            self.due += 1
        self._add(record, name, at, text, details)

    def work(self, record: InputRecord, work: Work) -> None:
        """A record of a work topic."""
        self.works.append((record, work))
        for name, text, details in choices_of_work(work):
            self._add(record, name, work.route[-1].at, text, details)

    def call(self, record: InputRecord, call: CallEvent) -> None:
        """A record of the journal."""
        details: dict[str, Any] = {"provider": call.provider, "attempt": call.attempt}
        if call.event == "started":
            self._started.append((record, call))
            return
        parts = [str(call.outcome)]
        if call.http_status is not None:
            parts.append(f"HTTP {call.http_status}")
        if call.code is not None:
            parts.append(call.code)
        if call.output_tokens is not None:
            parts.append(f"{call.output_tokens:,} tokens out")
        if call.per_token_ms is not None and call.first_token_ms is not None:
            # Of an answer that came whole, the first token says no more than its end.
            parts.append(f"the first after {call.first_token_ms:,} ms")
            parts.append(f"then {call.per_token_ms:.3g} ms each")
        if call.cost_usd:
            parts.append(f"{'about ' if call.cost_estimated else ''}{call.cost_usd:.6f} USD")
        parts.extend(
            f"{name.replace('_', ' ')} {told}" for name, told in (call.notes or {}).items()
        )
        took = "" if call.ms is None else f" after {call.ms:,} ms"
        text = f"call {call.attempt} of {call.provider} ended{took}: {', '.join(parts)}"
        names = ("outcome", "http_status", "code", "ms", "first_token_ms", "per_token_ms")
        counts = ("output_tokens", "cost_usd", "cost_estimated", "notes")
        details |= {name: getattr(call, name) for name in (*names, *counts)}
        self._add(record, "call_ended", call.at, text, details)

    def cancel(self, record: InputRecord, asked: Cancel) -> None:
        """A record of the control topic that cancels the id."""
        text = f"to be cancelled, asked by {asked.by or 'somebody'}"
        self._add(record, "cancel_asked", record.timestamp_s, text, {"by": asked.by})

    def completion(self, record: InputRecord, completion: Completion) -> None:
        """A record of the completions' topic."""
        self.completions.append(completion)
        for choice in choices_of_end(completion):
            self._add(record, choice[0], completion.completed_at, *choice[1:])
        by = f" by {completion.provider}" if completion.provider else ""
        took = round((completion.completed_at - completion.accepted_at) * 1000)
        text = f"{completion.status}{by}, {took:,} ms after it was accepted"
        details: dict[str, Any] = {
            "status": completion.status,
            "provider": completion.provider,
            "calls": completion.calls,
            "output_tokens": completion.output_tokens,
            "cost_usd": completion.cost_usd,
            "ms": took,
        }
        if completion.error is not None:
            text += f": {completion.error.code}: {completion.error.message}"
            details |= {"code": completion.error.code, "message": completion.error.message}
        self._add(record, "completed", completion.completed_at, text, details)

    def dead_letter(self, record: InputRecord, letter: DeadLetter) -> None:
        """A record of the dead letters that came of one of this id's records."""
        text = f"dead letter of {letter.origin} by the {letter.stage}: {letter.error}"
        details = {"origin": letter.origin, "stage": letter.stage, "error": letter.error}
        self._add(record, "dead_letter", letter.at or record.timestamp_s, text, details)

    def told(self, state: str) -> Trace:
        """The whole story; `state` says where the prompt is when it has no completion."""
        events = in_order([*self._events, *self._starts()])
        last = max(self.completions, key=lambda one: one.completed_at, default=None)
        missing = len(self.completions) < max(1, self.due)
        return Trace(
            self.id,
            state if missing else "completed",
            self.first_at,
            None if last is None else last.completed_at,
            None if last is None else last.status,
            events,
        )

    def _starts(self) -> list[Event]:
        """Starts of calls, in their order, so that the second of an attempt says what it is."""
        seen: set[tuple[int, int]] = set()
        events = []
        begun = [event.at for event in self._events if event.name == "routed"]
        for record, call in sorted(self._started, key=lambda one: one[1].at):
            # An id that was asked again, after the window, has its attempts again from 1.
            asking = sum(1 for at in begun if at <= call.at)
            again = (asking, call.attempt) in seen
            seen.add((asking, call.attempt))
            text = f"call {call.attempt} of {call.provider} started"
            if again:
                text += " again: what came of the call before was never committed"
            details = {"provider": call.provider, "attempt": call.attempt, "repeated": again}
            events.append(_event(record, "call_started", call.at, text, details))
        return events

    def _add(
        self, record: InputRecord, name: EventName, at: float, text: str, details: dict[str, Any]
    ) -> None:
        self._events.append(_event(record, name, at, text, details))


def _event(
    record: InputRecord, name: EventName, at: float, text: str, details: dict[str, Any]
) -> Event:
    return Event(name, at, record.topic, record.partition, record.offset, text, details)
