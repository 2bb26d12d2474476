"""What was asked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from broker.records.incoming import Headers, Source

Kind = Literal["chat", "image", "embedding"]
Priority = Literal["interactive", "standard", "batch"]

KINDS: tuple[Kind, ...] = ("chat", "image", "embedding")
PRIORITIES: tuple[Priority, ...] = ("interactive", "standard", "batch")


@dataclass(frozen=True, slots=True)
class Offer:
    """What bounds a model at one provider.

    `lacks` are words of `broker.core.needs`; `context_tokens` the longest prompt, None for any.
    """

    lacks: frozenset[str] = frozenset()
    context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Catalog:
    """What this deployment serves, as the validation of prompts needs it.

    `models` maps an alias to its kind, `default_models` a kind to the alias used when a prompt
    names none, `providers` an alias to the providers that serve it in order of preference.
    `completion_partitions` bounds `reply-partition`; None means unknown, so not checked. `offers`
    has, by alias and provider, what is bounded in any way.
    """

    models: Mapping[str, Kind]
    default_models: Mapping[Kind, str]
    providers: Mapping[str, tuple[str, ...]]
    completion_partitions: int | None = None
    offers: Mapping[str, Mapping[str, Offer]] = field(default_factory=dict)

    @property
    def provider_names(self) -> frozenset[str]:
        """Every provider that serves any model."""
        return frozenset(name for names in self.providers.values() for name in names)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A valid prompt.

    `fields` is the JSON object as it was sent, unknown fields included (a plain text prompt has
    only `prompt`). Times are unix seconds. `explicit_id` is False where the id was made from the
    record's place. `headers` are the producer's, untouched.
    """

    id: str
    tenant: str
    kind: Kind
    model: str
    priority: Priority
    provider: str | None
    deadline: float | None
    stream: bool
    accepted_at: float
    source: Source
    reply_partition: int | None
    explicit_id: bool
    fields: Mapping[str, Any] = field(repr=False)
    metadata: Mapping[str, str] = field(repr=False)
    headers: Headers = field(repr=False, default=())


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that is no valid prompt: which id it ends under, and why.

    `code` is a stable word (`invalid_json`, `unknown_model`, ...); `message` a sentence for a
    person, which never quotes the prompt.
    """

    id: str
    tenant: str
    code: str
    message: str
    explicit_id: bool
    accepted_at: float
    source: Source
    reply_partition: int | None = None
    metadata: Mapping[str, str] = field(repr=False, default_factory=dict)
    headers: Headers = field(repr=False, default=())
