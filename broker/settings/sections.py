"""The sections of the configuration. A default stands where most deployments want it."""

from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+")]
TopicPrefix = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,100}$")]


class Section(BaseModel):
    """A section refuses names it does not know, so that a typing error is not a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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


class ProviderSettings(Section):
    """One cloud. Without a `base_url` the simulator stands in for it.

    `models` maps our aliases to the provider's names. Times are seconds. Prices are US dollars for
    a million tokens; without them costs stay unknown.
    """

    dialect: Literal["openai"] = "openai"
    base_url: Url | None = Field(default=None, repr=False)
    api_key: str | None = Field(default=None, repr=False)
    models: dict[str, str] = Field(default_factory=dict)
    max_in_flight: PositiveInt = 64
    connect_s: PositiveFloat = 5.0
    first_byte_s: PositiveFloat = 60.0
    between_bytes_s: PositiveFloat = 30.0
    total_s: PositiveFloat = 300.0
    trace_headers: bool = False
    """Send the prompt's id and attempt with each call; on for the simulator."""
    usd_per_million_input: float | None = None
    usd_per_million_output: float | None = None


class LaneSettings(Section):
    """Weights (token units) up to which a prompt is light, and from which it is heavy."""

    light_max: PositiveInt = 2_000
    heavy_min: PositiveInt = 8_000
    output_factor: PositiveFloat = 4.0
    reserved_light: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.25
    """The share of a worker's slots that only light prompts may use; the others need some too."""

    @model_validator(mode="after")
    def _in_order(self) -> "LaneSettings":
        if self.heavy_min <= self.light_max:
            raise ValueError("lanes.heavy_min must be above lanes.light_max")
        return self


class RoutingSettings(Section):
    """`overflow`: seconds of expected wait that the preferred provider may have, by lane."""

    policy: Literal["overflow"] = "overflow"
    light_wait_s: PositiveFloat = 4.0
    medium_wait_s: PositiveFloat = 2.0
    heavy_wait_s: PositiveFloat = 1.0
    batch_wait_s: PositiveFloat = 60.0
    max_moves: Annotated[int, Field(ge=0)] = 3

    @model_validator(mode="after")
    def _heavy_first(self) -> "RoutingSettings":
        if self.heavy_wait_s > min(self.light_wait_s, self.medium_wait_s):
            raise ValueError(
                "heavy prompts must overflow first, so heavy_wait_s must be the lowest limit"
            )
        return self


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
    journal_before_call: bool = True
    """Wait until the journal has the start of a call before the call goes out."""


class CompletionSettings(Section):
    """Where a completion without `reply-partition` goes."""

    partition_by: Literal["any", "key"] = "any"


class StoreSettings(Section):
    """Claim checks for answers too large for a record. Empty: a folder of the user's data."""

    url: str = Field(default="", repr=False)


class OutageSettings(Section):
    """When a simulated cloud is down: seconds from when it is set (`from_s`, `to_s`), or times."""

    from_s: Annotated[float, Field(ge=0.0)] = 0.0
    to_s: PositiveFloat | None = None
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "OutageSettings":
        if (self.to_s is None) == (self.ends_at is None):
            raise ValueError("an outage needs either to_s or ends_at")
        if self.to_s is not None and (self.starts_at or self.to_s <= self.from_s):
            raise ValueError("an outage's to_s must be above from_s, without starts_at")
        if self.ends_at is not None and self.starts_at and self.ends_at <= self.starts_at:
            raise ValueError("an outage's ends_at must be after starts_at")
        return self


class FaultSettings(Section):
    """What a simulated cloud does wrong. Rates are shares of its calls, together at most 1."""

    rate_limited: Share = 0.0
    """429 with Retry-After."""
    retry_after_s: Annotated[float, Field(ge=0.0, le=3_600.0)] = 1.0
    server_errors: Share = 0.0
    server_error_status: Annotated[int, Field(ge=500, le=599)] = 500
    hangs: Share = 0.0
    """The call is taken and never answered."""
    cuts: Share = 0.0
    """The connection is reset before the answer."""
    cut_streams: Share = 0.0
    """The connection ends in the middle of the answer, streamed or whole."""
    slow: Share = 0.0
    """The answer comes in pieces of 8 bytes, `slow_gap_s` apart."""
    slow_gap_s: Annotated[float, Field(gt=0.0, le=3_600.0)] = 1.0
    malformed: Share = 0.0
    """The answer is broken JSON."""
    stream_errors: Share = 0.0
    """An error event in the middle of a stream; a whole answer is an error with status 200."""
    refused: Share = 0.0
    """400 `content_filter`."""
    filtered: Share = 0.0
    """An answer whose finish reason is `content_filter`."""
    too_long: Share = 0.0
    """400 `context_length_exceeded`."""
    outages: Annotated[tuple[OutageSettings, ...], Field(max_length=100)] = ()
    outage_as: Literal["error", "cut", "hang"] = "error"
    """What a call gets while the cloud is down: a 503, a reset connection, or nothing."""

    @property
    def rates(self) -> tuple[tuple[str, float], ...]:
        """The rates by name, in a fixed order."""
        return tuple((name, getattr(self, name)) for name in FAULT_RATES)

    @model_validator(mode="after")
    def _at_most_all(self) -> "FaultSettings":
        if sum(rate for _, rate in self.rates) > 1.0 + 1e-9:
            raise ValueError("the rates of faults are together above 1")
        return self


FAULT_RATES = (
    *("rate_limited", "server_errors", "hangs", "cuts", "cut_streams", "slow", "malformed"),
    *("stream_errors", "refused", "filtered", "too_long"),
)


class CloudSettings(Section):
    """How a simulated cloud behaves. Times are seconds, medians of a lognormal of that `spread`."""

    slots: PositiveInt = 64
    """Calls that are answered at the same time."""
    queue: Annotated[int, Field(ge=0)] = 64
    """Calls that wait for a slot; one more gets a 429."""
    first_token_s: Annotated[float, Field(ge=0.0)] = 0.4
    per_input_token_s: Annotated[float, Field(ge=0.0)] = 0.000_05
    """Added to the time to the first token for each token of the prompt."""
    per_token_s: Annotated[float, Field(ge=0.0)] = 0.015
    spread: Annotated[float, Field(ge=0.0, le=3.0)] = 0.25
    context_tokens: PositiveInt = 131_072
    faults: FaultSettings = FaultSettings()


_CLOUDS: dict[str, dict[str, Any]] = {
    "openai": {"first_token_s": 0.35, "per_token_s": 0.022, "context_tokens": 400_000},
    "azure": {"first_token_s": 0.45, "per_token_s": 0.018, "context_tokens": 400_000},
    "google": {"slots": 256, "queue": 256, "per_token_s": 0.008, "context_tokens": 1_048_576},
    "coreweave": {"slots": 192, "queue": 192, "first_token_s": 0.25, "per_token_s": 0.006},
}
"""The four clouds' own figures: the preferred ones answer slowly with few slots, so that a load
fills them; the other two have room for heavy work."""


OWN_CLOUDS = frozenset(_CLOUDS)


class SimulatorSettings(Section):
    """The stand-in for providers without a `base_url`, and where it runs."""

    url: str | None = None
    """Such as `http://127.0.0.1:8399`; `up` fills it in."""
    seed: int = 1
    speed: PositiveFloat = 1.0
    """All latencies are divided by this."""
    fast: bool = False
    """No latencies, no bound on calls: for measuring everything else."""
    answer_tokens: PositiveInt = 160
    """The median length of an answer to a prompt that asks for no length."""
    answer_spread: Annotated[float, Field(ge=0.0, le=3.0)] = 0.6
    chunk_every_s: Annotated[float, Field(ge=0.001, le=60.0)] = 0.02
    """A stream's chunks are at least so far apart; each holds the tokens that are due."""
    remember_ids: PositiveInt = 100_000
    """Prompt ids counted for each cloud (about 0.3 kB each); the oldest are forgotten first."""
    clouds: dict[Name, CloudSettings] = Field(default_factory=dict, validate_default=True)
    """By provider; what is not set keeps that cloud's own figure."""

    @field_validator("clouds", mode="before")
    @classmethod
    def _over_own_figures(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        own = {name: {**figures} for name, figures in _CLOUDS.items()}
        for name, cloud in given.items():
            own[name] = {**own.get(name, {}), **cloud} if isinstance(cloud, dict) else cloud
        return own


class OpsSettings(Section):
    """`/livez`, `/readyz`, `/metrics`. Port 0 takes a free one."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 0


class LogSettings(Section):
    """Logs go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "console", "json"] = "auto"
