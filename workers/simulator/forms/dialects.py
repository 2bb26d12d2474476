"""Dialects of the simulator by the name that the settings use."""

from collections.abc import Callable, Mapping
from typing import Final

from workers.simulator.forms.azure import AzureForms
from workers.simulator.forms.gemini import GeminiForms
from workers.simulator.forms.ollama import OllamaForms
from workers.simulator.forms.openai import OpenAIForms
from workers.simulator.forms.shape import Forms, Place
from workers.simulator.forms.vllm import VllmForms

DIALECTS: Final[Mapping[str, Callable[[Place], Forms]]] = {
    "openai": OpenAIForms,
    "azure": AzureForms,
    "gemini": GeminiForms,
    "vllm": VllmForms,
    "ollama": OllamaForms,
}


def forms_for(dialect: str, place: Place) -> Forms:
    """The forms of a dialect; one that is not known here is played as OpenAI's."""
    return DIALECTS.get(dialect, OpenAIForms)(place)
