"""Models of providers, fitted to the calls that the journal has: how long, how many, what failed.

Times of answers: a line over tokens in and out, and how far calls were off it, as quantiles.
Places: where more calls at once took longer in proportion, by Little's law so many as calls over
that factor; else no bound was seen. Failures: those in a row are an outage, with its times; the
others come by chance, as often as they did.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import groupby
from statistics import median
from typing import Any, Final

from broker.core.retries import Transport, verdict
from broker.records.calls import CallEvent
from broker.simulate.line_fit import Row, fit_line, quantiles, share_at, value

IN_A_ROW: Final = 8
"""So many failures that speak of the provider's health, with no answer between, are an outage."""
MOST_OUTAGES: Final = 50
"""The longest; what else failed together counts as chance."""
FEWEST: Final = 20
"""Fewer answers make no line of their own: they stretch the one of all providers together."""
MOST: Final = 20_000
"""So many answers of a model are looked at, evenly taken."""
STEPS: Final = 100
LEAST_S: Final = 1e-6
_BIN: Final = 25
_CROWDED: Final = 1.3
_OURS: Final = frozenset({"given_up", "internal", "deadline_passed"})
"""Ends that say nothing of the provider."""
_TRANSPORTS: Final = {one.value: one for one in Transport}


@dataclass(frozen=True, slots=True)
class ModelFit:
    """One model's answers: seconds = `line` over (1, tokens in, tokens out) times a `factor`."""

    answers: int
    line: Row
    factors: tuple[float, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class FailureFit:
    """Failures of one kind: which share of the calls, and how long they took in the middle."""

    share: float
    status: int | None
    code: str | None
    transport: Transport | None
    seconds: float


@dataclass(frozen=True, slots=True)
class ProviderFit:
    """A provider as its calls show it. `outages` are unix seconds, each (from, to)."""

    calls: int
    models: Mapping[str, ModelFit]
    slots: int | None
    failures: tuple[FailureFit, ...]
    outages: tuple[tuple[float, float], ...]
    luck: Mapping[str, float] = field(repr=False, default_factory=dict)
    """Of each prompt that was answered here: the share of calls that had it no worse."""

    def as_json(self) -> dict[str, Any]:
        """For people and programs that want to see what is replayed."""
        return {
            "calls": self.calls,
            "slots": self.slots,
            "models": {
                name: {
                    "answers": one.answers,
                    "base_ms": round(one.line[0] * 1000, 3),
                    "per_input_token_ms": round(one.line[1] * 1000, 5),
                    "per_output_token_ms": round(one.line[2] * 1000, 4),
                    "factor_p50": round(one.factors[STEPS // 2], 4),
                    "factor_p95": round(one.factors[STEPS * 95 // 100], 4),
                }
                for name, one in self.models.items()
            },
            "failures": [
                {
                    "share": round(one.share, 5),
                    "what": one.transport.value if one.transport else f"{one.status} {one.code}",
                    "ms": round(one.seconds * 1000),
                }
                for one in self.failures
            ],
            "outages": len(self.outages),
        }


@dataclass(frozen=True, slots=True)
class _Call:
    began: float
    seconds: float
    event: CallEvent
    at_once: int

    @property
    def answered(self) -> bool:
        return self.event.outcome == "ok"

    @property
    def row(self) -> Row:
        return 1.0, float(self.event.input_tokens or 0), float(self.event.output_tokens or 0)


def fit_providers(events: Iterable[CallEvent]) -> dict[str, ProviderFit]:
    """The providers that these calls show, by name; only their ends are looked at."""
    by_provider: dict[str, list[CallEvent]] = {}
    for event in events:
        if event.event == "ended" and event.ms is not None and event.code not in _OURS:
            by_provider.setdefault(event.provider, []).append(event)
    calls = {name: _with_others(found) for name, found in sorted(by_provider.items())}
    everyone = [one for found in calls.values() for one in found if one.answered]
    usual = _line(everyone) if everyone else (0.0, 0.0, 0.0)
    return {name: _fitted(found, usual) for name, found in calls.items()}


def _fitted(calls: Sequence[_Call], usual: Row) -> ProviderFit:
    outages = _outages(calls)
    healthy = [one for one in calls if not any(a <= one.began < b for a, b in outages)]
    answers = [one for one in healthy if one.answered]
    slots = _slots(answers)
    alone = [one for one in answers if slots is None or one.at_once <= slots] or answers
    by_model: dict[str, list[_Call]] = {}
    for one in alone:
        by_model.setdefault(one.event.model, []).append(one)
    models = {name: _model(found, usual) for name, found in sorted(by_model.items())}
    luck = {}
    for one in answers:
        fit = models.get(one.event.model)
        if fit is not None:
            factor = one.seconds / max(value(fit.line, one.row), LEAST_S)
            luck[one.event.id] = share_at(fit.factors, factor)
    return ProviderFit(len(calls), models, slots, _failures(healthy), outages, luck)


def _with_others(events: Sequence[CallEvent]) -> list[_Call]:
    """The calls in the order in which they began, with how many were under way then."""
    begun = sorted(((one.at - (one.ms or 0) / 1000, one) for one in events), key=lambda x: x[0])
    ends: list[float] = []
    calls = []
    for began, one in begun:
        while ends and ends[0] <= began:
            heappop(ends)
        heappush(ends, one.at)
        calls.append(_Call(began, max(1, one.ms or 0) / 1000, one, len(ends)))
    return calls


def _outages(calls: Sequence[_Call]) -> tuple[tuple[float, float], ...]:
    """Where nothing was answered for a while: from the first failure to the next answer."""
    found = []
    groups = [(bad, list(group)) for bad, group in groupby(calls, key=_is_sick)]
    for number, (bad, group) in enumerate(groups):
        if not bad or len(group) < IN_A_ROW:
            continue
        later = groups[number + 1][1] if number + 1 < len(groups) else None
        ends = later[0].began if later else group[-1].event.at
        found.append((group[0].began, max(ends, group[-1].began + 0.001)))
    longest = sorted(found, key=lambda one: one[0] - one[1])[:MOST_OUTAGES]
    return tuple(sorted(longest))


def _is_sick(call: _Call) -> bool:
    event = call.event
    if call.answered:
        return False
    transport = _TRANSPORTS.get(event.code or "")
    return verdict(event.http_status, event.code, transport).unhealthy


def _slots(answers: Sequence[_Call]) -> int | None:
    """How many were served at once, where calls were seen to wait for each other."""
    if len(answers) < 4 * _BIN:
        return None
    ordered = sorted(answers, key=lambda one: one.at_once)
    few = ordered[: len(ordered) // 4]
    line = fit_line([one.row for one in few], [one.seconds for one in few])
    crowded = []
    for start in range(0, len(ordered) - _BIN + 1, _BIN):
        part = ordered[start : start + _BIN]
        ratio = median(one.seconds / max(value(line, one.row), LEAST_S) for one in part)
        if ratio > _CROWDED:
            crowded.append(part[_BIN // 2].at_once / ratio)
    if len(crowded) < 2:  # noqa: PLR2004 - one is chance
        return None
    return max(1, round(median(crowded)))


def _line(calls: Sequence[_Call]) -> Row:
    """Through so many of these that more would say nothing new."""
    taken = calls[:: max(1, len(calls) // MOST)]
    if len(taken) < FEWEST:
        return median(one.seconds for one in taken), 0.0, 0.0
    return fit_line([one.row for one in taken], [one.seconds for one in taken])


def _model(calls: Sequence[_Call], usual: Row) -> ModelFit:
    if len(calls) < FEWEST:
        longer = median(one.seconds / max(value(usual, one.row), LEAST_S) for one in calls)
        line = (usual[0] * longer, usual[1] * longer, usual[2] * longer)
    else:
        line = _line(calls)
    factors = [one.seconds / max(value(line, one.row), LEAST_S) for one in calls]
    return ModelFit(len(calls), line, quantiles(factors, STEPS))


def _failures(calls: Sequence[_Call]) -> tuple[FailureFit, ...]:
    kinds: dict[tuple[int | None, str | None], list[float]] = {}
    for one in calls:
        if not one.answered:
            kinds.setdefault((one.event.http_status, one.event.code), []).append(one.seconds)
    return tuple(
        FailureFit(
            len(took) / len(calls),
            status,
            code,
            _TRANSPORTS.get(code or ""),
            median(took),
        )
        for (status, code), took in sorted(kinds.items(), key=lambda kind: str(kind[0]))
    )
