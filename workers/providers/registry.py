"""Dialects by the name that the settings use. A new one is a file and a line here."""

from collections.abc import Callable, Mapping
from typing import Final

from broker.records.errors import UsageError
from broker.settings.providers import ProviderSettings
from workers.providers.azure import Azure
from workers.providers.dialect import Adapter
from workers.providers.gemini import Gemini
from workers.providers.ollama import Ollama
from workers.providers.openai import OpenAI
from workers.providers.vllm import VLLM

DIALECTS: Final[Mapping[str, Callable[[ProviderSettings], Adapter]]] = {
    "openai": OpenAI,
    "azure": Azure,
    "gemini": Gemini,
    "vllm": VLLM,
    "ollama": Ollama,
}


def adapter_for(provider: ProviderSettings) -> Adapter:
    """A new adapter; raises UsageError for a dialect that does not exist."""
    try:
        return DIALECTS[provider.dialect](provider)
    except KeyError:
        raise UsageError(
            f"There is no dialect {provider.dialect!r}.", mend=f"Known are: {', '.join(DIALECTS)}."
        ) from None
