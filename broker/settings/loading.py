"""Reading the configuration and handing each room what it needs of it."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

import platformdirs
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from broker.core.lanes import LanePlan, default_ranges
from broker.records.errors import UsageError
from broker.records.prompt import Catalog, Kind
from broker.settings.sections import (
    ClassifierSettings,
    CompletionSettings,
    DedupeSettings,
    KafkaSettings,
    LaneSettings,
    LogSettings,
    ModelSettings,
    Name,
    OpsSettings,
    ProviderSettings,
    RoutingSettings,
    SimulatorSettings,
    StoreSettings,
    TopicSettings,
    WorkerSettings,
)

CONFIG_FILE = "weighbridge.toml"
MASK = "********"


def _default_models() -> dict[str, ModelSettings]:
    return {"chat-small": ModelSettings(default=True), "chat-large": ModelSettings()}


def _default_providers() -> dict[str, ProviderSettings]:
    small_and_large = {
        "openai": ("gpt-5-mini", "gpt-5"),
        "azure": ("gpt-5-mini", "gpt-5"),
        "google": ("gemini-3-flash", "gemini-3-pro"),
        "coreweave": ("gpt-oss-20b", "gpt-oss-120b"),
    }
    return {
        name: ProviderSettings(models={"chat-small": small, "chat-large": large})
        for name, (small, large) in small_and_large.items()
    }


class Settings(BaseSettings):
    """The whole configuration. Providers are preferred in the order they are written."""

    model_config = SettingsConfigDict(
        env_prefix="WEIGHBRIDGE_", env_nested_delimiter="__", extra="forbid", frozen=True
    )
    toml: ClassVar[Path | None] = None

    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    models: dict[str, ModelSettings] = Field(default_factory=_default_models)
    providers: dict[Name, ProviderSettings] = Field(default_factory=_default_providers)
    lanes: LaneSettings = LaneSettings()
    routing: RoutingSettings = RoutingSettings()
    dedupe: DedupeSettings = DedupeSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    worker: WorkerSettings = WorkerSettings()
    completions: CompletionSettings = CompletionSettings()
    store: StoreSettings = StoreSettings()
    simulator: SimulatorSettings = SimulatorSettings()
    ops: OpsSettings = OpsSettings()
    log: LogSettings = LogSettings()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, which wins over the file."""
        del dotenv_settings, file_secret_settings
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, cls.toml))

    @model_validator(mode="after")
    def _names_agree(self) -> "Settings":
        for name, provider in self.providers.items():
            unknown = sorted(set(provider.models) - set(self.models))
            if unknown:
                raise ValueError(f"providers.{name}.models names {unknown[0]!r}, not in [models]")
        return self

    def catalog(self) -> Catalog:
        """What is served, for the validation and routing of prompts."""
        kinds: dict[str, Kind] = {alias: model.kind for alias, model in self.models.items()}
        defaults: dict[Kind, str] = {}
        for alias, model in self.models.items():
            if model.default:
                defaults.setdefault(model.kind, alias)
        serving = {
            alias: tuple(name for name, given in self.providers.items() if alias in given.models)
            for alias in self.models
        }
        return Catalog(kinds, defaults, serving, self.topics.completions)

    def lane_plan(self, work_partitions: int | None = None) -> LanePlan:
        """Lane thresholds and the partition ranges of a work topic."""
        return LanePlan(
            light_max=self.lanes.light_max,
            heavy_min=self.lanes.heavy_min,
            partitions=default_ranges(work_partitions or self.topics.work),
        )

    def provider(self, name: str) -> ProviderSettings:
        """The settings of a provider; raises UsageError for a name that is not there."""
        try:
            return self.providers[name]
        except KeyError:
            known = ", ".join(self.providers)
            raise UsageError(
                f"There is no provider {name!r} in the settings.", mend=f"Known are: {known}."
            ) from None

    def is_simulated(self, name: str) -> bool:
        """Whether the simulator stands in for this provider."""
        return self.provider(name).base_url is None

    def base_url(self, name: str) -> str:
        """Where the provider's API is, without a slash at the end; raises UsageError."""
        given = self.provider(name).base_url
        if given is not None:
            return given.rstrip("/")
        if self.simulator.url is None:
            raise UsageError(
                f"The provider {name!r} has no base_url, and no simulator stands in for it.",
                mend=f"Set providers.{name}.base_url, or start `weighbridge simulator` and set "
                "simulator.url.",
            )
        return f"{self.simulator.url.rstrip('/')}/{name}/v1"

    def masked(self) -> dict[str, Any]:
        """The configuration as `config show` prints it: no secret in it."""
        shown = self.model_dump(mode="json")
        for provider in shown["providers"].values():
            provider["api_key"] = _masked_reference(provider["api_key"])
        for name in shown["kafka"]["client"]:
            if any(word in name for word in ("password", "secret", "oauthbearer.config", ".pem")):
                shown["kafka"]["client"][name] = MASK
        return shown


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:
    """Read the file (default `weighbridge.toml` here, if there) and the environment.

    `overrides` are whole sections as mappings, merged over both. Raises UsageError with every
    problem named.
    """
    path = config or Path(os.environ.get("WEIGHBRIDGE_CONFIG", CONFIG_FILE))
    if not path.exists():
        if config is not None or "WEIGHBRIDGE_CONFIG" in os.environ:
            raise UsageError(f"The settings file {path} does not exist.", mend="Name another.")
        path_or_none = None
    else:
        path_or_none = path
    chosen = type("Settings", (Settings,), {"toml": path_or_none, "__module__": __name__})
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return cast("Settings", chosen(**given))
    except ValidationError as error:
        raise UsageError(
            f"The settings are wrong: {_problems(error)}.",
            mend="`weighbridge config check` explains each.",
            code="invalid_settings",
        ) from error
    except ValueError as error:
        raise UsageError(
            f"The settings file {path} cannot be read: {error}.",
            mend="It must be TOML.",
            code="invalid_settings",
        ) from error


def _problems(error: ValidationError) -> str:
    # Values are left out: one of them may be a key.
    found = [
        f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()
    ]
    return "; ".join(found)


def _masked_reference(given: str | None) -> str | None:
    if given is None or given.startswith(("env:", "file:")):
        return given
    return MASK


def resolve_secret(reference: str | None, environ: Mapping[str, str] | None = None) -> str | None:
    """The secret behind `env:NAME` or `file:PATH`, or the text itself; raises UsageError."""
    if reference is None:
        return None
    if reference.startswith("env:"):
        name = reference.removeprefix("env:")
        value = (os.environ if environ is None else environ).get(name)
        if not value:
            raise UsageError(
                f"The environment variable {name} that should hold a key is not set.",
                mend=f"Export {name}, or take the key out of the settings.",
            )
        return value
    if reference.startswith("file:"):
        path = Path(reference.removeprefix("file:"))
        try:
            return path.read_text().strip()
        except OSError as error:
            raise UsageError(
                f"The file {path} that should hold a key cannot be read.",
                mend="Check that it exists and that this user may read it.",
            ) from error
    return reference


def data_folder() -> Path:
    """Where the embedded broker's data and the claim checks lie (`XDG_DATA_HOME` moves it)."""
    return platformdirs.user_data_path("weighbridge")


def state_folder() -> Path:
    """Where logs, chosen ports and process ids lie (`XDG_STATE_HOME` moves it)."""
    return platformdirs.user_state_path("weighbridge")
