"""The models and providers of a configuration that names none: four clouds, all simulated."""

from broker.settings.providers import ProviderSettings, ServedModel
from broker.settings.sections import ModelSettings


def default_models() -> dict[str, ModelSettings]:
    """The aliases that prompts may name."""
    return {"chat-small": ModelSettings(default=True), "chat-large": ModelSettings()}


def default_providers() -> dict[str, ProviderSettings]:
    """Who serves them, in order of preference."""
    small_and_large = {
        "openai": ("gpt-5-mini", "gpt-5"),
        "azure": ("gpt-5-mini", "gpt-5"),
        "google": ("gemini-3-flash", "gemini-3-pro"),
        "coreweave": ("gpt-oss-20b", "gpt-oss-120b"),
    }
    return {
        name: ProviderSettings(
            models={"chat-small": ServedModel(name=small), "chat-large": ServedModel(name=large)}
        )
        for name, (small, large) in small_and_large.items()
    }
