"""What was decided on a prompt, as events: weighed, let in, routed, moved, or not routed. Pure."""

from collections.abc import Iterator
from typing import Any

from broker.records.completion import Completion
from broker.records.times import to_rfc3339
from broker.records.work import RouteStep, Work
from broker.story.events import EventName

Choice = tuple[EventName, str, dict[str, Any]]
"""The event's name, its text for a person, and the same figures for a program."""


def choices_of_work(work: Work) -> Iterator[Choice]:
    """What a work record says was decided when it was written."""
    step = work.route[-1]
    if work.moves:
        before = work.route[-2].provider
        text = f"moved from {before} to {step.provider}: {step.reason}"
        details = {"from": before, "to": step.provider, **_why(step), "attempt": work.attempt}
        yield "moved", text, details
        return
    yield _weighed(
        work.input_tokens, work.expected_output_tokens, work.weight, work.lane, work.weighed
    )
    if work.charged is not None:
        yield _let_in(work)
    text = f"routed to {step.provider}: {step.reason}"
    yield "routed", text, {"provider": step.provider, **_why(step)}


def choices_of_end(completion: Completion) -> Iterator[Choice]:
    """What a completion says was decided, where nobody could or might take the prompt."""
    why = None if completion.error is None else completion.error.not_routed
    if why is None:
        return
    if why.expected_output_tokens is not None:
        yield _weighed(
            completion.input_tokens,
            why.expected_output_tokens,
            completion.weight,
            completion.lane,
            why.expected_by,
        )
    details: dict[str, Any] = {"reason": why.reason, "code": why.code}
    text = f"not routed: {why.reason}" if not completion.route else f"not moved: {why.reason}"
    if why.limit is not None:
        text = f"not let in: {why.reason}"
        details["limit"] = dict(why.limit)
    if completion.error is not None and completion.error.retry_at is not None:
        at = to_rfc3339(completion.error.retry_at)
        text += f"; a new one may come from {at} on"
        details["retry_at"] = at
    if why.candidates:
        details["candidates"] = list(why.candidates)
    yield "not_routed", text, details


def _weighed(tokens: int, expected: int, weight: int, lane: str, by: str) -> Choice:
    figures: dict[str, Any] = {
        "input_tokens": tokens,
        "expected_output_tokens": expected,
        "weight": weight,
        "lane": lane,
    }
    text = (
        f"weighed: {tokens:,} tokens in, {expected:,} expected out, weight {weight:,}, lane {lane}"
    )
    if by:
        figures["expected_by"] = by
        text += f" ({by})"
    return "weighed", text, figures


def _let_in(work: Work) -> Choice:
    """By the limits of its tenant: what it was charged, and from when on it may begin."""
    charged = work.charged
    if charged is None:
        raise ValueError("no limits of a tenant let it in")
    text = f"let in: {work.tenant} was charged 1 request, {charged.tokens:,} tokens"
    details: dict[str, Any] = {"tenant": work.tenant, "requests": 1, "tokens": charged.tokens}
    if charged.usd:
        text += f", {charged.usd:.6f} USD"
    details["usd"] = charged.usd
    if work.not_before is not None:
        rests = max(0.0, work.not_before - work.route[0].at)
        text += f"; over its rate, so it may not begin for {rests:.1f} s"
        details["not_before"] = to_rfc3339(work.not_before)
    return "let_in", text, details


def _why(step: RouteStep) -> dict[str, Any]:
    """Why, in words and as a code, and what was known of each provider."""
    found: dict[str, Any] = {"reason": step.reason}
    if step.code:
        found["code"] = step.code
    if step.candidates:
        found["candidates"] = list(step.candidates)
    return found
