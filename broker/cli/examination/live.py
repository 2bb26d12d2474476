"""One cheap call of each provider, through the adapter and the credentials that a worker has."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, Final

from broker.cli.examination.call_words import failure_of, limits_left
from broker.cli.examination.finding import Examiner, Finding, failed, ok
from broker.cli.output import milliseconds
from broker.records.errors import WeighbridgeError
from broker.records.incoming import Source
from broker.records.work import RouteStep, Work
from broker.settings import Settings
from workers.calling import CallResult, Prepared
from workers.parts import build_client

CALL_S: Final = 25.0
"""A provider that takes longer for so little is in trouble."""
ANSWER_TOKENS: Final = 16
"""The fewest that each provider's forms allow."""
_QUESTION: Final = "Reply with the word ok."


def call_examiners(settings: Settings) -> dict[str, Examiner]:
    """One for each provider, the simulated ones too."""
    return {f"call of {name}": partial(examine_call, settings, name) for name in settings.providers}


def examine_call(settings: Settings, name: str) -> Iterator[Finding]:
    """What came back of a call, or why none was made."""
    check = f"call of {name}"
    if settings.is_simulated(name) and settings.simulator.url is None:
        yield ok(check, "not made: the simulator that plays it does not run")
        return
    work = _cheapest(settings, name)
    if work is None:
        yield ok(check, "not made: it serves no text, and a picture is not cheap")
        return
    yield asyncio.run(_called(settings, name, check, work))


def _cheapest(settings: Settings, name: str) -> Work | None:
    """A short chat, or else one embedding; None where the provider serves neither."""
    by_kind: dict[str, str] = {}
    for alias in settings.provider(name).models:
        by_kind.setdefault(settings.models[alias].kind, alias)
    asked: dict[str, dict[str, Any]] = {
        "chat": {"prompt": _QUESTION, "max_output_tokens": ANSWER_TOKENS},
        "embedding": {"input": _QUESTION},
    }
    kind = next((kind for kind in asked if kind in by_kind), None)
    if kind is None:
        return None
    now = time.time()
    return Work(
        id=f"doctor-{time.time_ns()}",
        tenant="doctor",
        kind=kind,
        model=by_kind[kind],
        priority="interactive",
        provider=name,
        deadline=now + CALL_S,
        stream=False,
        accepted_at=now,
        source=Source(0, 0),
        reply_partition=None,
        weight=0,
        lane="light",
        input_tokens=0,
        expected_output_tokens=ANSWER_TOKENS,
        attempt=0,
        route=(RouteStep(name, "doctor", now),),
        fields=asked[kind],
        metadata={},
    )


async def _called(settings: Settings, name: str, check: str, work: Work) -> Finding:
    client = build_client(settings, name)
    try:
        prepared = await client.prepare(work)
        result = await client.call(prepared, 1)
    except WeighbridgeError as error:
        return failed(check, error)
    finally:
        await client.close()
    served = settings.provider(name).models[work.model].name
    facts = _facts(result, served) | {
        "simulated": settings.is_simulated(name),
        "dialect": settings.provider(name).dialect,
    }
    by = "the simulator, as " if settings.is_simulated(name) else ""
    if result.answer is None:
        text, mend, level = failure_of(result, name, served, _secrets(prepared))
        return Finding(check, level, f"{by}{text}", mend, facts)
    return Finding(check, "ok", f"{by}{_answered(result, served)}", facts=facts)


def _answered(result: CallResult, served: str) -> str:
    usage = result.usage
    counted = [
        f"{count} tokens {way}"
        for way, count in (("in", usage.input_tokens), ("out", usage.output_tokens))
        if count
    ]
    told = [f"HTTP {result.status}", *counted]
    if result.answer is not None and result.answer.refusal is not None:
        told.append(f"refused as {result.answer.refusal}")
    left = limits_left(result.limits)
    took = milliseconds(result.seconds * 1000)
    return f"{served} answered in {took} ({', '.join(told)}){f'; {left}' if left else ''}"


def _facts(result: CallResult, served: str) -> dict[str, Any]:
    """What came back, for programs."""
    answer = result.answer
    limits = {} if result.limits is None else asdict(result.limits)
    return {
        "model": served,
        "status": result.status,
        "ms": round(result.seconds * 1000, 1),
        "code": result.code,
        "finish_reason": None if answer is None else answer.finish_reason,
        "input_tokens": result.usage.input_tokens,
        "output_tokens": result.usage.output_tokens,
        "limits": {each: value for each, value in limits.items() if value is not None},
    }


def _secrets(prepared: Prepared) -> tuple[str, ...]:
    """What no text may show, however the provider quotes it."""
    credential: Mapping[str, str] = prepared.credential
    return tuple(word for value in credential.values() for word in value.split() if len(word) > 6)  # noqa: PLR2004 - "Bearer" is none
