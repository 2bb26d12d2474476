"""Application default credentials at Vertex: our headers beside those of Google's own SDK.

Both read the same credentials and ask the same token service, so that nothing is taken on trust.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai import types

from broker.settings.providers import ProviderSettings, ServedModel
from tests.credentials.token_server import MARKER, TokenServer, service_account_in, token_server
from tests.wire.gemini_prompts import WHOLE
from tests.wire.recording import Recording
from tests.wire.test_gemini import MODEL, headers_of, same
from tests.workers.building import LIMITS, on_loop, work
from workers.calling import CallResult, ProviderClient
from workers.credentials import credential_for
from workers.providers.registry import adapter_for

ENDPOINT = "/v1/projects/a-project/locations/us-central1/endpoints/openapi"


@pytest.fixture
def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TokenServer]:
    """A token service, and a service account that leads to it."""
    with token_server() as told:
        file = service_account_in(tmp_path, f"{told.url}/token")
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(file))
        yield told


def ours(url: str, **given: Any) -> CallResult:
    """Make the call as a worker does, with the credential that the settings say."""

    async def call() -> CallResult:
        provider = ProviderSettings(auth="google", base_url=url, **given)
        adapter = adapter_for(provider)
        client = ProviderClient(
            base_url=url,
            adapter=adapter,
            limits=LIMITS,
            credential=credential_for(provider, adapter, "google"),
            models={"chat-small": ServedModel(name=MODEL)},
            trace_headers=False,
        )
        try:
            return await client.call(await client.prepare(work(text="Why?")), 1)
        finally:
            await client.close()

    return on_loop(call())


@pytest.mark.parametrize("project", [None, "billed-project"])
def test_a_quota_project_is_sent_as_the_sdk_does(
    server: Recording,
    tokens: TokenServer,
    monkeypatch: pytest.MonkeyPatch,
    project: str | None,
) -> None:
    if project is not None:
        monkeypatch.setenv("GOOGLE_CLOUD_QUOTA_PROJECT", project)
    server.answers(WHOLE)
    options = types.HttpOptions(base_url=server.url, api_version="v1")
    with genai.Client(
        vertexai=True, project="a-project", location="us-central1", http_options=options
    ) as client:
        client.models.generate_content(model=MODEL, contents="Why?")
    theirs = server.last
    assert theirs.headers["authorization"] == f"Bearer {MARKER}-1"
    result = ours(server.url, dialect="gemini", project="a-project", location="us-central1")
    assert result.answer is not None
    mine = server.last
    assert mine.headers["authorization"] == f"Bearer {tokens.token}" == f"Bearer {MARKER}-2"
    # Two tokens were given out; all else is the same.
    mine.headers["authorization"] = theirs.headers["authorization"]  # type: ignore[index]  # a dict
    same(theirs, mine)
    assert headers_of(mine).get("x-goog-user-project") == project


def test_openai_s_dialect_carries_them_too(
    server: Recording,
    tokens: TokenServer,
) -> None:
    reply = {"index": 0, "message": {"role": "assistant", "content": "Yes."}}
    server.answers({"choices": [{**reply, "finish_reason": "stop"}], "usage": {}})
    base = server.url + ENDPOINT
    result = ours(base, dialect="openai", quota_project="billed-project")
    assert result.answer is not None
    assert server.last.path == f"{ENDPOINT}/chat/completions"
    assert server.last.headers["authorization"] == f"Bearer {tokens.token}"
    assert server.last.headers["x-goog-user-project"] == "billed-project"
    assert server.last.body["model"] == MODEL
