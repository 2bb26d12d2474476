"""The sections `[providers.NAME]`: one cloud each, and what of it serves which of our models."""

from typing import Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from broker.settings.section import Name, Section, Url

Lack = Literal[
    "audio_in", "images_in", "json_mode", "json_schema", "logprobs", "n", "stream", "tools"
]
"""What a model may be unable to do, by the part of a prompt that asks for it."""


class ServedModel(Section):
    """One model of a provider. In the settings a plain text stands for one with only a name.

    Prices are US dollars, for a million tokens or for one picture; one that is missing comes from
    the table of prices, and where that has none too, the cost stays unknown.
    """

    name: str
    """The provider's own: a model, or at Azure a deployment."""
    api: Name | None = None
    """Which of the provider's forms to call where it has several, such as `responses`."""
    lacks: frozenset[Lack] = frozenset()
    """Prompts that need one of these go to another provider, or are refused before any call."""
    context_tokens: PositiveInt | None = None
    """The longest prompt, in tokens; longer ones go elsewhere, or are refused before any call."""
    max_in_flight: PositiveInt | None = None
    """Calls of this model at once of one worker, within the provider's own."""
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    usd_per_million_input: NonNegativeFloat | None = None
    usd_per_million_cached_input: NonNegativeFloat | None = None
    usd_per_million_output: NonNegativeFloat | None = None
    usd_per_image: NonNegativeFloat | None = None
    priced_as: str | None = None
    """The name in the table of prices where `name` is not it, as with a deployment; with the
    table's section before it (`openai/gpt-5`) wherever the provider is."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, given: Any) -> Any:
        return {"name": given} if isinstance(given, str) else given


class ProviderSettings(Section):
    """One cloud. Without a `base_url` the simulator stands in for it, in the cloud's own dialect.

    `models` maps our aliases to what serves them there. Times are seconds.
    """

    dialect: Name = "openai"
    """How it is spoken to: openai, azure, gemini, vllm, or one that was added."""
    base_url: Url | None = Field(default=None, repr=False)
    auth: Literal["key", "google", "entra", "none"] = "key"
    """`google`: application default credentials; `entra`: Microsoft's tokens."""
    auth_scope: str | None = None
    """The scope of a token, where the usual one is not it."""
    api_key: str | None = Field(default=None, repr=False)
    api_version: str | None = None
    """Azure's older form with deployments in its paths; without one the `/openai/v1` form."""
    project: str | None = None
    """Google's project, OpenAI's project, or the team and project at CoreWeave's serverless one."""
    quota_project: str | None = None
    """Google: the project that calls are counted and billed for, where the credentials name none
    or another than it should be."""
    location: str | None = None
    """Google's location, such as `us-central1` or `global`."""
    region: str | None = None
    """Where it works, in a word of your own such as `eu`, for `regions` in `[routing]`."""
    spillover_deployment: str | None = None
    """Azure: who answers when provisioned capacity is used up."""
    models: dict[str, ServedModel] = Field(default_factory=dict)
    max_in_flight: PositiveInt = 64
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    tokens_counted: Literal["used", "reserved"] = "used"
    """What of a call counts for its limit of tokens: what it used in the end, or what it asked to
    be allowed (input and longest answer), of which the provider gives nothing back."""
    adaptive: bool = True
    """Find out how many calls at once it can take, up to `max_in_flight`."""
    connect_s: PositiveFloat = 5.0
    first_byte_s: PositiveFloat = 60.0
    between_bytes_s: PositiveFloat = 30.0
    total_s: PositiveFloat = 300.0
    trace_headers: bool = False
    """Send the prompt's id and attempt with each call; on for the simulator."""
    billing: Literal["tokens", "hourly"] = "tokens"
    """`hourly`: capacity that is paid for anyway, so that a call costs nothing more."""

    def served_name(self, alias: str) -> str | None:
        """The provider's own name for a model of ours, None where it does not serve it."""
        served = self.models.get(alias)
        return None if served is None else served.name
