"""The models and providers of a configuration that names none: four clouds, all simulated."""

from typing import Any, Final

from broker.settings.providers import ProviderSettings
from broker.settings.sections import ModelSettings

_PROVIDERS: Final[dict[str, dict[str, Any]]] = {
    "openai": {
        "dialect": "openai",
        "models": {
            "chat-small": "gpt-5-mini",
            "chat-large": "gpt-5",
            "picture": "gpt-image-1",
            "embedding": "text-embedding-3-small",
        },
    },
    "azure": {
        "dialect": "azure",
        "models": {
            "chat-small": "gpt-5-mini",
            "chat-large": "gpt-5",
            "picture": "gpt-image-1",
            "embedding": "text-embedding-3-small",
        },
    },
    "google": {
        "dialect": "gemini",
        "models": {
            "chat-small": "gemini-3-flash",
            "chat-large": "gemini-3-pro",
            "picture": "gemini-3-pro-image",
            "embedding": "gemini-embedding-001",
        },
    },
    "coreweave": {
        "dialect": "vllm",
        "models": {"chat-small": "gpt-oss-20b", "chat-large": "gpt-oss-120b"},
    },
}


def default_models() -> dict[str, ModelSettings]:
    """The aliases that prompts may name."""
    return {
        "chat-small": ModelSettings(default=True),
        "chat-large": ModelSettings(),
        "picture": ModelSettings(kind="image", default=True),
        "embedding": ModelSettings(kind="embedding", default=True),
    }


def default_providers() -> dict[str, ProviderSettings]:
    """Who serves them, in order of preference."""
    return {name: ProviderSettings.model_validate(given) for name, given in _PROVIDERS.items()}
