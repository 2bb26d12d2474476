"""Both sides of a comparison with OpenAI's SDK: its clients, our calls, and what may differ."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any, Final

from openai import AzureOpenAI, OpenAI

from broker.settings.providers import ProviderSettings, ServedModel
from tests.wire.recording import Asked, Recording
from tests.workers.building import LIMITS, on_loop, work
from workers.calling import CallResult, ProviderClient
from workers.credentials import Key
from workers.providers.registry import adapter_for

MODEL: Final = "a-deployment"

DIFFERENCES: Final[Mapping[str, str]] = {
    "header accept-encoding": "our client leaves compression out: most answers are short",
    "header connection": "HTTP/1.1 keeps connections alive without being told",
    "header user-agent": "who calls",
    "header x-stainless-*": "which SDK calls, and how often it has tried; we are none",
    "header api-key for authorization": "the SDK's plain client at Azure's /openai/v1 sends the "
    "key as a bearer token; Azure takes both, and only tokens of Entra are bearer's here",
    "max_tokens": "the name that every version of vLLM knows, for max_completion_tokens",
    "store": "a response is kept by its provider unless it asks not to be, a chat is not: a "
    "prompt of ours keeps a chat's meaning",
    "strict": "a response's function is strict unless it says it is not, a chat's the other way",
    "detail": "required in a response's picture, with the default that a chat has for it",
}
"""Every intended difference between the SDK's request and ours, and why."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to ask: our settings, and the path that both clients start from."""

    settings: ProviderSettings
    base: str = "/v1"
    """Where our base URL ends."""
    azure: bool = False
    differing: frozenset[str] = field(default=frozenset())

    def sdk(self, url: str) -> AbstractContextManager[OpenAI]:
        """The official client for it."""
        if self.azure:
            return AzureOpenAI(
                azure_endpoint=url,
                api_key="sk-1",
                api_version=self.settings.api_version,
                max_retries=0,
            )
        base = "/openai/v1" if self.settings.dialect == "azure" else self.base
        return OpenAI(
            base_url=url + base, api_key="sk-1", project=self.settings.project, max_retries=0
        )


DIALECTS: Final[Mapping[str, Dialect]] = {
    "openai": Dialect(ProviderSettings(dialect="openai", project="proj_1")),
    "a compatible server": Dialect(ProviderSettings(dialect="openai"), base="/api/serving/v3"),
    "azure": Dialect(
        ProviderSettings(dialect="azure"),
        base="",
        differing=frozenset({"header api-key for authorization"}),
    ),
    "azure by deployments": Dialect(
        ProviderSettings(dialect="azure", api_version="2024-10-21"), base="", azure=True
    ),
    "vllm": Dialect(
        ProviderSettings(dialect="vllm", project="team/project"),
        differing=frozenset({"max_tokens"}),
    ),
}


def ours(
    server: Recording,
    dialect: Dialect,
    fields: dict[str, Any],
    *,
    api: str | None = None,
    **given: Any,
) -> CallResult:
    """Make the call as a worker does."""
    served = ServedModel(name=MODEL, api=api)
    models = {"chat-small": served}
    adapter = adapter_for(dialect.settings.model_copy(update={"models": models}))

    async def call() -> CallResult:
        client = ProviderClient(
            base_url=server.url + dialect.base,
            adapter=adapter,
            limits=LIMITS,
            credential=Key(dict([adapter.key_header("sk-1")])),
            models=models,
            trace_headers=False,
        )
        try:
            asked = replace(work(**given), fields=fields, stream=fields.get("stream", False))
            return await client.call(await client.prepare(asked), 1)
        finally:
            await client.close()

    return on_loop(call())


def same(theirs: Asked, mine: Asked, dialect: Dialect) -> None:
    """Compare two requests field by field, but for what stands in DIFFERENCES."""
    assert dialect.differing <= DIFFERENCES.keys()
    assert (mine.method, mine.path) == (theirs.method, theirs.path)
    expected, got = headers_of(theirs), headers_of(mine)
    if "header api-key for authorization" in dialect.differing:
        assert expected.pop("authorization") == f"Bearer {got.pop('api-key')}"
    assert got == expected
    body = dict(theirs.body)
    if "max_tokens" in dialect.differing and "max_completion_tokens" in body:
        body["max_tokens"] = body.pop("max_completion_tokens")
    assert mine.body == body


def headers_of(asked: Asked) -> dict[str, str]:
    """Headers, but for those that tell only of the connection and of who calls."""
    left_out = {name.removeprefix("header ") for name in DIFFERENCES} | {"host", "content-length"}
    return {
        name: value
        for name, value in asked.headers.items()
        if name not in left_out and not name.startswith("x-stainless-")
    }
