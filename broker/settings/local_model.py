"""A model on this machine in place of all clouds: the section, and what it makes of the others."""

from typing import TYPE_CHECKING, Annotated, Final

from pydantic import Field, PositiveInt

from broker.records.errors import UsageError
from broker.settings.providers import ProviderSettings, ServedModel
from broker.settings.section import Section, Url

if TYPE_CHECKING:
    from broker.settings.loading import Settings

LOCAL: Final = "local"
"""The provider's name."""


class LocalModelSettings(Section):
    """llama.cpp's server on this machine: with a `url` it alone answers chat prompts.

    `up --local-model FILE` starts it and fills in `url` and `name`.
    """

    url: Url | None = None
    """Such as `http://127.0.0.1:8398`."""
    name: str = "local"
    """What completions and the journal call the model."""
    slots: Annotated[int, Field(ge=1, le=64)] = 2
    """Calls that are answered at the same time; each has a context of its own."""
    context_tokens: PositiveInt = 8_192
    """Prompt and answer of one call together; what the model was made for is the most."""


def with_local_model(settings: "Settings", **given: str) -> "Settings":
    """The same settings with the local model as the first provider, and the only one for chat.

    `given` are its `url` and `name` where they are not in the settings. The other providers keep
    their models of other kinds, and are left out where they have none. Raises UsageError when
    nobody could call it.
    """
    local = settings.local_model.model_copy(update=given)
    chat = [alias for alias, model in settings.models.items() if model.kind == "chat"]
    served = ServedModel(name=local.name, lacks=frozenset({"audio_in", "images_in"}))
    ours = ProviderSettings(
        base_url=f"{(local.url or '').rstrip('/')}/v1",
        auth="none",
        models=dict.fromkeys(chat, served),
        max_in_flight=local.slots,
        adaptive=False,
        billing="hourly",
    )
    if not chat:
        raise UsageError(
            "The settings have no chat model that the local one could serve.",
            mend="Add [models.NAME], or leave the local model out.",
            code="invalid_settings",
        )
    if settings.providers.get(LOCAL, ours) != ours:
        raise UsageError(
            f"There is a provider named {LOCAL!r} already.",
            mend=f"Give providers.{LOCAL} another name.",
            code="invalid_settings",
        )
    providers = {LOCAL: ours}
    for name, provider in settings.providers.items():
        left = {alias: model for alias, model in provider.models.items() if alias not in chat}
        if left:
            providers[name] = provider.model_copy(update={"models": left})
    return settings.model_copy(update={"local_model": local, "providers": providers})
