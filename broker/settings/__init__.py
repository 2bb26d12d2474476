"""Configuration: `weighbridge.toml`, then the environment (`WEIGHBRIDGE_...`)."""

from broker.settings.loading import Settings, load_settings
from broker.settings.providers import ProviderSettings

__all__ = ["ProviderSettings", "Settings", "load_settings"]
