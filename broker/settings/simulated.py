"""The section `[simulator]`: how the clouds behave that stand in for providers without a key."""

from typing import Annotated, Any, Literal

from pydantic import (
    AwareDatetime,
    Field,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from broker.settings.section import Name, Section, Share


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
    """The prompt is refused: 400 `content_filter`, or as the vendor does it."""
    filtered: Share = 0.0
    """An answer whose finish reason is `content_filter`."""
    too_long: Share = 0.0
    """400 `context_length_exceeded`."""
    spent: Share = 0.0
    """The quota or the credit is used up: waiting does not help."""
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
    *("stream_errors", "refused", "filtered", "too_long", "spent"),
)


class CapacitySettings(Section):
    """How much a simulated cloud takes. All of it can be changed while it runs."""

    slots: PositiveInt = 64
    """Calls that are answered at the same time."""
    queue: Annotated[int, Field(ge=0)] = 64
    """Calls that wait for a slot; one more gets a 429."""
    concurrency: PositiveInt | None = None
    """Calls taken at the same time, waiting ones included; one more gets the vendor's 429 for too
    many at once. None: only `slots` and `queue` bound them."""
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    """Counted as vendors do it: tokens of the prompt and the most that the answer may have."""
    each_model: bool = False
    """Each model has these limits per minute for itself, as at OpenAI and Azure; else all share
    them."""
    speed: PositiveFloat = 1.0
    """This cloud's latencies are divided by this, beside `simulator.speed`."""


class CloudSettings(CapacitySettings):
    """How a simulated cloud behaves. Times are seconds, medians of a lognormal of that `spread`."""

    first_token_s: Annotated[float, Field(ge=0.0)] = 0.4
    per_input_token_s: Annotated[float, Field(ge=0.0)] = 0.000_05
    """Added to the time to the first token for each token of the prompt."""
    per_token_s: Annotated[float, Field(ge=0.0)] = 0.015
    per_picture_s: Annotated[float, Field(ge=0.0)] = 4.0
    spread: Annotated[float, Field(ge=0.0, le=3.0)] = 0.25
    context_tokens: PositiveInt = 131_072
    picture_bytes: Annotated[int, Field(ge=100, le=8_000_000)] = 200_000
    """The size of a picture, of noise that cannot be made smaller."""
    dimensions: Annotated[int, Field(ge=1, le=4_096)] = 1_536
    """The length of an embedding where the request asks for none, and the most it may ask for."""
    api_key: str | None = Field(default=None, repr=False)
    """The only key or token that is let in; None lets everyone in."""
    refuse_marker: Annotated[str, Field(min_length=1)] = "[[refuse]]"
    """A prompt with this text is refused as the vendor's content filter does it."""
    filter_marker: Annotated[str, Field(min_length=1)] = "[[filter]]"
    """The answer to a prompt with this text is filtered."""
    flat_errors: bool = False
    """vLLM's older form of an error, without an object around it."""
    faults: FaultSettings = FaultSettings()


_CLOUDS: dict[str, dict[str, Any]] = {
    "openai": {"first_token_s": 0.35, "per_token_s": 0.03, "context_tokens": 400_000},
    "azure": {"first_token_s": 0.45, "per_token_s": 0.024, "context_tokens": 400_000},
    "google": {"slots": 256, "queue": 256, "per_token_s": 0.008, "context_tokens": 1_048_576},
    "coreweave": {"slots": 192, "queue": 192, "first_token_s": 0.25, "per_token_s": 0.006},
}
"""The four clouds' own figures. The preferred one has as many slots as a worker has calls, and is
slow: with answers of 120 tokens (the mean of the conversation and code traces together) it takes
4 s each, so 16 a second, Azure 19, Google 190, CoreWeave 200. A load above that overflows, and the
last two have room for what is heavy."""


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
    chunk_every_s: Annotated[float, Field(ge=0.001, le=60.0)] = 0.05
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
