"""What classifiers say of their parts of tenants' limits: who has which, lends, and wants some."""

from collections.abc import Mapping
from dataclasses import dataclass

ByPartition = Mapping[int, tuple[float, float, float]]
"""Requests, tokens and dollars by partition of the prompts."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A classifier (`by`, a name that no other process has) says which partitions are its own.

    It counts from this line on, for every reader alike: what another lends of them later is void.
    """

    by: str
    partitions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Lent:
    """Parts of a limit that go from some partitions of the prompts to others.

    `period` is `minute`, `day` or `month`; `moves` has what each partition gives, or, below zero,
    gets. `by` is the classifier that has those that give, which counts its loans in `number`.
    """

    tenant: str
    period: str
    at: float
    by: str
    number: int
    moves: ByPartition


@dataclass(frozen=True, slots=True)
class Wanted:
    """A classifier (`by`) has little left of a limit of a minute: others should lend it so much.

    It is for this partition, one of its own.
    """

    tenant: str
    at: float
    by: str
    partition: int
    amounts: tuple[float, float, float]
