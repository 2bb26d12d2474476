"""How long an answer will be, learned from those that came. Pure: no clock but `now`.

What is counted is in `broker.core.length_counts`, which says why so. An expectation is a quantile
of four levels mixed: the tenant's answers to questions like this one, the tenant's answers, the
model's to questions like this one, the model's; what they leave open is the prior's. Which are
alike is in `broker.core.alike`. Each level with n answers takes n / (n + 2) of what the finer ones
left: 2 was the best such number on the Azure traces of 2023, for 2 tenants and for 400.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeVar

from broker.core.alike import groups_of
from broker.core.length_counts import BUCKETS, Counts, bucket_of, place_of, tokens_at
from broker.core.recall import Recall

Level = Literal["tenant_like", "tenant", "model_like", "model", "prior"]
"""From the finest to the coarsest; `like`: only of questions like the one asked."""

SHRINK: Final = 2.0
"""Answers that a level needs to weigh as much as all that is coarser."""

_MOST_OF_TENANT: Final = 1_000
_USUAL_OF_TENANT: Final = 192
"""Entries of 6 bytes: few tenants need the most, and all together hold this much each at most."""
_MOST_OF_MODEL: Final = 20_000
_MOST_MODELS: Final = 500
_ENOUGH: Final = 0.01
"""What of the whole may be left to levels that are not looked at any more."""
_TAIL: Final = 0.01
_TWICE: Final = 4
"""Buckets to the double length."""
_GOLDEN: Final = 0.6180339887498949

Series = tuple[str, str, str]
"""Tenant, model and kind."""

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Answered:
    """What is learned of one successful call. `output_tokens` is of all its answers together.

    `input_tokens` must be counted as `expected` is given them. `cut`: the answer ended at its
    greatest length and would have been longer. `at` is unix seconds.
    """

    tenant: str
    model: str
    kind: str
    input_tokens: int
    output_tokens: int
    at: float
    own_maximum: int | None = None
    cut: bool = False
    answers: int = 1


@dataclass(frozen=True, slots=True)
class Expectation:
    """Tokens of one answer; `level` weighed most in it, with the mass of so many answers."""

    tokens: int
    level: Level
    answers: float


@dataclass(frozen=True, slots=True)
class _Part:
    """What one set of counts says of a question: shares by bucket, and what it leaves open.

    `level` is the one of its two that has the larger part, `answers` its mass.
    """

    shares: list[tuple[int, float]]
    left: float
    level: Level
    part: float
    answers: float


class OutputLengths:
    """Learns and expects; `quantile` of the answers are to be no longer than is expected.

    Holds the counts of at most `most_tenants` (tenant, model, kind); those that were neither taught
    nor asked for longest are forgotten, and have their model's. Both may be set anew.
    """

    def __init__(self, quantile: float, half_life_s: float, most_tenants: int) -> None:
        self.quantile = quantile
        self._half_life_s = half_life_s
        self.most_tenants = most_tenants
        self._tenants: OrderedDict[Series, Counts] = OrderedDict()
        self._models: OrderedDict[tuple[str, str], Counts] = OrderedDict()
        self._kept: Recall[tuple[Series, int], Expectation] = Recall()
        self._kept_models: Recall[tuple[tuple[str, str], int], tuple[list[float], _Part]] = Recall()
        self._entries = 0
        self._turn = 0.0

    @property
    def tenants(self) -> int:
        """How many (tenant, model, kind) are known."""
        return len(self._tenants)

    def learn(self, one: Answered) -> None:
        """Take one call in. Calls may come in any order."""
        bucket = bucket_of(one.output_tokens / one.answers)
        groups = groups_of(one.input_tokens, one.own_maximum)
        series = (one.tenant, one.model, one.kind)
        if one.cut:
            bucket = self._beyond(series, groups, bucket, one.at)
        mine = _held(self._tenants, series, one.at)
        self._entries -= mine.entries
        mine.add(groups, bucket, one.at, self._half_life_s, _MOST_OF_TENANT)
        self._entries += mine.entries
        self._forget()
        model = _held(self._models, series[1:], one.at)
        if len(self._models) > _MOST_MODELS:
            self._models.popitem(last=False)
        model.add(groups, bucket, one.at, self._half_life_s, _MOST_OF_MODEL)

    def _forget(self) -> None:
        most = self.most_tenants
        while len(self._tenants) > most or (
            self._entries > most * _USUAL_OF_TENANT and len(self._tenants) > 1
        ):
            _, gone = self._tenants.popitem(last=False)
            self._entries -= gone.entries

    def expected(
        self, series: Series, input_tokens: int, own_maximum: int | None, prior: int, now: float
    ) -> Expectation:
        """What to expect of one answer to (tenant, model, kind).

        `prior` is expected where nothing was learned. The request's own maximum is the most.
        """
        if series in self._tenants:
            self._tenants.move_to_end(series)
        groups = groups_of(input_tokens, own_maximum)
        found = self._recalled(series, groups, prior, now)
        # Within a bucket lengths are not told apart: one in the maximum's may well be the maximum.
        if own_maximum is None or bucket_of(found.tokens) < bucket_of(own_maximum):
            return found
        return replace(found, tokens=own_maximum)

    def _recalled(
        self, series: Series, groups: tuple[int, int], prior: int, now: float
    ) -> Expectation:
        """As it was worked out before, where little has changed since; else anew.

        A prior's part is of one request, so what leans on it is not kept.
        """
        tenant, key = self._tenants.get(series), (series, groups[0])
        known = None if tenant is None else self._kept.of(key, tenant.added, now)
        if known is not None:
            return known
        mixed, left, level, answers = self._mix(series, groups, now)
        mixed[bucket_of(prior)] += left
        tokens = tokens_at(*place_of(mixed, 1.0 - self.quantile)) if answers else prior
        made = Expectation(tokens, level, answers)
        if tenant is not None and left < _ENOUGH:
            self._kept.keep(key, made, tenant.added, now)
        return made

    def _mix(
        self, series: Series, groups: tuple[int, int], now: float
    ) -> tuple[list[float], float, Level, float]:
        """All levels by bucket, what they leave to the prior, the weightiest one, its answers."""
        tenant = self._tenants.get(series)
        if tenant is None:
            shares, coarse = self._of_model(series[1:], groups, now)
            level = coarse.level if coarse.part >= coarse.left else "prior"
            return shares.copy(), coarse.left, level, coarse.answers
        fine = self._part(tenant, groups, now, "tenant_like", "tenant")
        if fine.left < _ENOUGH:
            mixed, coarse = [0.0] * BUCKETS, _NOTHING
        else:
            shares, coarse = self._of_model(series[1:], groups, now)
            rest = fine.left
            mixed = [share * rest for share in shares]
        for bucket, share in fine.shares:
            mixed[bucket] += share
        left, part = coarse.left * fine.left, coarse.part * fine.left
        if left > max(fine.part, part):
            return mixed, left, "prior", fine.answers
        best = fine if fine.part >= part else coarse
        return mixed, left, best.level, best.answers

    def _of_model(
        self, model: tuple[str, str], groups: tuple[int, int], now: float
    ) -> tuple[list[float], _Part]:
        """A model's shares, all buckets in a row, and the rest of its part."""
        counts = self._models.get(model)
        if counts is None:
            return _EMPTY, _NOTHING
        key = (model, groups[0])
        known = self._kept_models.of(key, counts.added, now)
        if known is not None:
            return known
        part = self._part(counts, groups, now, "model_like", "model")
        shares = [0.0] * BUCKETS
        for bucket, share in part.shares:
            shares[bucket] += share
        return self._kept_models.keep(key, (shares, part), counts.added, now)

    def _part(
        self, counts: Counts, groups: tuple[int, int], now: float, like: Level, whatever: Level
    ) -> _Part:
        fade = counts.fade(now, self._half_life_s)
        buckets, masses, whole = counts.of(groups[0])
        number = whole * fade
        share = number / (number + SHRINK)
        scale = share / whole if whole else 0.0
        shares = [(bucket, mass * scale) for bucket, mass in zip(buckets, masses, strict=True)]
        left = 1.0 - share
        if left < _ENOUGH:
            return _Part(shares, left, like, share, number)
        buckets, masses, whole = counts.of(groups[1])
        number_of_all = whole * fade
        more = left * number_of_all / (number_of_all + SHRINK)
        scale = more / whole if whole else 0.0
        shares += [(bucket, mass * scale) for bucket, mass in zip(buckets, masses, strict=True)]
        left -= more
        if share >= more:
            return _Part(shares, left, like, share, number)
        return _Part(shares, left, whatever, more, number_of_all)

    def _beyond(self, series: Series, groups: tuple[int, int], bucket: int, at: float) -> int:
        """Where a cut answer would have ended: as those did that are longer, each in its turn.

        So what lies beyond is distributed as what is known of it (Efron's redistribution to the
        right); where nothing is known of longer ones, twice the length.
        """
        tail = self._mix(series, groups, at)[0][bucket + 1 :]
        whole = sum(tail)
        if whole < _TAIL:
            return min(BUCKETS - 1, bucket + _TWICE)
        self._turn = (self._turn + _GOLDEN) % 1.0
        return bucket + 1 + place_of(tail, whole * self._turn)[0]


_EMPTY: Final = [0.0] * BUCKETS
_NOTHING: Final = _Part([], 1.0, "model", 0.0, 0.0)


def _held(held: OrderedDict[K, Counts], key: K, at: float) -> Counts:
    """The counts of this key, now the last to be forgotten."""
    counts = held.get(key)
    if counts is None:
        counts = held[key] = Counts(at)
    else:
        held.move_to_end(key)
    return counts
