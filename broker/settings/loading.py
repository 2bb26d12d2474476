"""Reading the configuration and handing each room what it needs of it."""

import os
from pathlib import Path
from typing import Any, ClassVar, cast

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from broker.core.lanes import LanePlan, default_ranges
from broker.core.routing import RoutingRules
from broker.core.tenant_limits import TenantTerms
from broker.records.errors import UsageError
from broker.records.prompt import Catalog
from broker.settings.catalog import catalog_of
from broker.settings.defaults import default_models, default_providers
from broker.settings.lanes import LaneSettings
from broker.settings.lengths import LengthSettings
from broker.settings.local_model import LocalModelSettings, with_local_model
from broker.settings.origins import BETWEEN, PREFIX, Origins
from broker.settings.places import CONFIG_FILE, data_folder, settings_file, state_folder
from broker.settings.price_table import PricesSettings
from broker.settings.problems import (
    InvalidSettingsError,
    disagreement,
    not_json,
    problems_of,
    unknown_variables,
)
from broker.settings.providers import ProviderSettings
from broker.settings.routing import RoutingSettings, unknown_names
from broker.settings.secrets import masked, resolve_secret
from broker.settings.section import Name
from broker.settings.sections import (
    ClassifierSettings,
    CompletionSettings,
    DedupeSettings,
    KafkaSettings,
    LogSettings,
    ModelSettings,
    OpsSettings,
    StoreSettings,
    TopicSettings,
    WorkerSettings,
)
from broker.settings.simulated import SimulatorSettings
from broker.settings.tenants import (
    LimitSettings,
    TenantName,
    TenantSettings,
    terms_of,
    unknown_groups,
)

__all__ = [
    "CONFIG_FILE",
    "Settings",
    "data_folder",
    "load_settings",
    "resolve_secret",
    "settings_file",
    "state_folder",
]


class Settings(BaseSettings):
    """The whole configuration. Providers are preferred in the order they are written."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=BETWEEN,
        extra="forbid",
        frozen=True,
        # One of them may be a key.
        hide_input_in_errors=True,
    )
    toml: ClassVar[Path | None] = None

    kafka: KafkaSettings = KafkaSettings()
    topics: TopicSettings = TopicSettings()
    models: dict[str, ModelSettings] = Field(default_factory=default_models)
    providers: dict[Name, ProviderSettings] = Field(default_factory=default_providers)
    lanes: LaneSettings = LaneSettings()
    lengths: LengthSettings = LengthSettings()
    routing: RoutingSettings = RoutingSettings()
    tenants: dict[TenantName, TenantSettings] = Field(default_factory=dict)
    tenant_groups: dict[TenantName, LimitSettings] = Field(default_factory=dict)
    tenant_defaults: LimitSettings = LimitSettings()
    dedupe: DedupeSettings = DedupeSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    worker: WorkerSettings = WorkerSettings()
    completions: CompletionSettings = CompletionSettings()
    store: StoreSettings = StoreSettings()
    simulator: SimulatorSettings = SimulatorSettings()
    local_model: LocalModelSettings = LocalModelSettings()
    prices: PricesSettings = PricesSettings()
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
        unknown = [
            (f"providers.{name}.models", f"names {alias!r}, which is not in [models]")
            for name, provider in self.providers.items()
            for alias in sorted(set(provider.models) - set(self.models))
        ]
        unknown += unknown_groups(self.tenants, self.tenant_groups)
        regions = {name: provider.region for name, provider in self.providers.items()}
        unknown += unknown_names(self.routing, regions, self.models)
        if unknown:
            raise disagreement(unknown)
        return self

    def tenant_terms(self) -> TenantTerms:
        """Every tenant's limits and share."""
        return terms_of(self.tenants, self.tenant_groups, self.tenant_defaults)

    def catalog(self) -> Catalog:
        """What is served, for the validation and routing of prompts."""
        return catalog_of(self.models, self.providers, self.topics.completions)

    def lane_plan(self, work_partitions: int | None = None) -> LanePlan:
        """Lane thresholds and the partition ranges of a work topic."""
        return LanePlan(
            light_max=self.lanes.light_max,
            heavy_min=self.lanes.heavy_min,
            partitions=default_ranges(work_partitions or self.topics.work),
        )

    def at(self, bootstrap: str) -> "Settings":
        """The same settings with these brokers."""
        kafka = self.kafka.model_copy(update={"bootstrap": bootstrap})
        return self.model_copy(update={"kafka": kafka})

    def routing_rules(self) -> RoutingRules:
        """The wait limits by lane, and how often work may move."""
        given = self.routing
        return RoutingRules(
            wait_limits={
                "light": given.light_wait_s,
                "medium": given.medium_wait_s,
                "heavy": given.heavy_wait_s,
                "batch": given.batch_wait_s,
            },
            max_moves=given.max_moves,
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
        """Where the provider's API is, without a slash at the end; raises UsageError.

        For a simulated provider that is where its host's root is: the dialect knows what follows.
        """
        given = self.provider(name).base_url
        if given is not None:
            return given.rstrip("/")
        if self.simulator.url is None:
            raise UsageError(
                f"The provider {name!r} has no base_url, and no simulator stands in for it.",
                mend=f"Set providers.{name}.base_url, or start `weighbridge simulator` and set "
                "simulator.url.",
            )
        return f"{self.simulator.url.rstrip('/')}/{name}"

    def masked(self) -> dict[str, Any]:
        """The configuration as `config show` prints it: no secret in it."""
        return masked(self.model_dump(mode="json"))


def load_settings(config: Path | None = None, **overrides: Any) -> Settings:
    """Read the file (default `weighbridge.toml` here, if there) and the environment.

    `overrides` are whole sections as mappings, merged over both. Raises UsageError with every
    problem named.
    """
    path = settings_file(config)
    chosen = type("Settings", (Settings,), {"toml": path, "__module__": __name__})
    given = {name: value for name, value in overrides.items() if value is not None}
    unknown = unknown_variables(os.environ, Settings)
    try:
        loaded = cast("Settings", chosen(**given))
    except ValidationError as error:
        found = problems_of(error, Settings, Origins(path))
        raise InvalidSettingsError((*unknown, *found)) from error
    except SettingsError as error:
        raise InvalidSettingsError((*unknown, not_json(error, os.environ))) from error
    except OSError as error:
        raise UsageError(
            f"The settings file {path} cannot be read: {error.strerror or 'no reason given'}.",
            mend="Make it a file that this user may read.",
            code="invalid_settings",
        ) from error
    except ValueError as error:
        raise UsageError(
            f"The settings file {path} is not TOML: {error}.",
            mend="Mend that line: texts stand in quotes, sections in [brackets].",
            code="invalid_settings",
        ) from error
    if unknown:
        raise InvalidSettingsError(unknown)
    return loaded if loaded.local_model.url is None else with_local_model(loaded)
