"""What a worker is made of: each part once."""

import pytest

from broker.core.cancels import Cancels
from broker.log.topic_shapes import Shapes
from broker.settings import load_settings
from broker.settings.providers import ProviderSettings
from broker.telemetry.metrics import WorkerMetrics
from tests.workers.building import on_loop
from tests.workers.test_answering import Collector
from tests.workers.written import Chunks, Journal
from workers import parts
from workers.providers.dialect import Adapter
from workers.providers.registry import adapter_for


def test_one_adapter_speaks_and_says_what_follows_failures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = load_settings(
        models={"chat-small": {"default": True}},
        simulator={"url": "http://127.0.0.1:9"},
        providers={"azure": {"dialect": "azure", "models": {"chat-small": "deployed"}}},
    )
    made: list[Adapter] = []

    def counted(given: ProviderSettings) -> Adapter:
        made.append(adapter_for(given))
        return made[-1]

    monkeypatch.setattr(parts, "adapter_for", counted)
    shapes = Shapes(dict.fromkeys(parts.topics_of(settings), 12), {})

    async def main() -> None:
        worker = parts.build_worker(
            settings,
            "azure",
            shapes,
            worker="azure-0",
            journal=Journal(),
            publisher=Chunks(),
            committer=Collector(),
            metrics=WorkerMetrics(),
            reports=dict,
            cancels=Cancels(),
        )
        (adapter,) = made
        assert worker.attempts.rules.table is worker.attempts.hedging.table is adapter.retries
        await worker.client.close()

    on_loop(main())
