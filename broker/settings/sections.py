"""The sections of the configuration. A default stands where most deployments want it."""

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from broker.settings.section import Section, Share

TopicPrefix = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,100}$")]


class KafkaSettings(Section):
    """Which broker. `client` holds librdkafka's own names (`security.protocol`, `sasl.*`, ...)."""

    bootstrap: str = "embedded"
    prefix: TopicPrefix = "llm"
    client: dict[str, str] = Field(default_factory=dict, repr=False)
    session_timeout_s: PositiveFloat = 10.0
    replication: PositiveInt | None = None
    """Replicas of each topic; by default 3, or as many as there are brokers."""


class TopicSettings(Section):
    """Partitions. Lanes are ranges of a work topic's partitions, so those need at least 4."""

    prompts: PositiveInt = 12
    work: Annotated[int, Field(ge=4)] = 12
    completions: PositiveInt = 12
    calls: PositiveInt = 6
    chunks: PositiveInt = 6
    dead_letters: PositiveInt = 3


class ModelSettings(Section):
    """A model alias as prompts name it."""

    kind: Literal["chat", "image", "embedding"] = "chat"
    default: bool = False


class DedupeSettings(Section):
    """How long an id is remembered, and how many at most."""

    window_s: Annotated[float, Field(gt=0, le=86_400)] = 3_600.0
    max_ids: PositiveInt = 4_000_000


class ClassifierSettings(Section):
    """Bounds of the classifier."""

    max_pending: PositiveInt = 4_000
    """Decisions that may wait for their transaction before reading pauses."""
    count_up_to_bytes: PositiveInt = 32_768
    """Longer texts are estimated, so that one huge prompt cannot stall the loop."""


class WorkerSettings(Section):
    """Bounds of a worker process. Times are seconds."""

    drain_s: PositiveFloat = 20.0
    max_waiting: PositiveInt = 2_000
    """Records fetched but not started, over all lanes, before partitions pause."""
    max_waiting_bytes: PositiveInt = 128 * 1024 * 1024
    max_record_bytes: PositiveInt = 900_000
    max_attempts: PositiveInt = 6
    """Calls for one prompt over all providers, after which it has failed."""
    retry_base_s: PositiveFloat = 0.25
    retry_cap_s: PositiveFloat = 20.0
    retry_budget: Share = 0.10
    hedge_after_ms: PositiveInt | None = None
    """Ask a second time beside a light interactive prompt's call that has no answer by then; the
    first answer wins and both are paid for. None: never."""
    journal_before_call: bool = True
    """Wait until the journal has the start of a call before the call goes out."""
    chunk_every_ms: Annotated[float, Field(ge=1, le=1_000)] = 20.0
    """So long at most the pieces of a streamed answer are joined before they are published."""


class CompletionSettings(Section):
    """Where a completion without `reply-partition` goes."""

    partition_by: Literal["any", "key"] = "any"


class InputStore(Section):
    """Where large parts of prompts may lie. In the settings a plain text stands for one's URL."""

    url: Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://.", repr=False)]
    options: dict[str, str] = Field(default_factory=dict, repr=False)

    @model_validator(mode="before")
    @classmethod
    def _from_url(cls, given: Any) -> Any:
        return {"url": given} if isinstance(given, str) else given


class StoreSettings(Section):
    """Where pictures, and answers too large for a record, lie.

    `url` is `s3://BUCKET/...`, `gs://...`, `az://...`, `file:///...`; empty is a folder of the
    user's data. `options` are obstore's own names (`endpoint`, `region`, `access_key_id`,
    `allow_http`, ...), secrets among them as `env:NAME` or `file:PATH`.
    """

    url: str = Field(default="", repr=False)
    options: dict[str, str] = Field(default_factory=dict, repr=False)
    inputs: tuple[InputStore, ...] = ()
    """Stores that prompts may refer to, beside our own: everything below each URL."""
    max_input_bytes: PositiveInt = 32 * 1024 * 1024
    """Most that one prompt may bring by reference, all together."""
    max_inputs_held_bytes: PositiveInt = 128 * 1024 * 1024
    """Most that a worker holds at once of what its prompts brought; others wait. In memory it takes
    about three times as much."""

    @model_validator(mode="after")
    def _one_fits(self) -> "StoreSettings":
        if self.max_inputs_held_bytes < self.max_input_bytes:
            raise ValueError("store.max_inputs_held_bytes must not be below max_input_bytes")
        return self


class OpsSettings(Section):
    """`/livez`, `/readyz`, `/metrics`. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 0


class LogSettings(Section):
    """Logs go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
