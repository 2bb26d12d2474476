"""/livez, /readyz and /metrics over HTTP."""

import asyncio
import socket

import aiohttp
import pytest

from broker.records.errors import NotReadyError
from broker.telemetry.metrics import WorkerMetrics
from broker.telemetry.ops_server import OpsServer


async def ask(port: int, path: str, **headers: str) -> tuple[int, str, str]:
    url = f"http://127.0.0.1:{port}{path}"
    timeout = aiohttp.ClientTimeout(total=10)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.get(url, headers=headers) as answer,
    ):
        return answer.status, await answer.text(), answer.headers["Content-Type"]


def test_alive_ready_and_not_ready_with_the_reason() -> None:
    state: dict[str, str | None] = {"live": None, "ready": "two windows are being filled"}

    async def history() -> None:
        server = OpsServer(
            WorkerMetrics().registry, live=lambda: state["live"], ready=lambda: state["ready"]
        )
        port = await server.start("127.0.0.1", 0)
        assert port > 0
        assert (await ask(port, "/livez"))[:2] == (200, "ok\n")
        assert (await ask(port, "/readyz"))[:2] == (503, "two windows are being filled\n")
        state.update(live="stalled", ready=None)
        assert (await ask(port, "/livez"))[:2] == (503, "stalled\n")
        assert (await ask(port, "/readyz"))[:2] == (200, "ok\n")
        assert (await ask(port, "/nothing"))[0] == 404
        await server.stop()
        await server.stop()
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask(port, "/livez")

    asyncio.run(history())


def test_metrics_in_the_form_that_the_asker_takes() -> None:
    metrics = WorkerMetrics()
    metrics.moves.labels("google", "breaker").inc()

    async def history() -> None:
        server = OpsServer(metrics.registry, live=lambda: None, ready=lambda: None)
        port = await server.start("127.0.0.1", 0)
        try:
            status, text, kind = await ask(port, "/metrics")
            assert status == 200
            assert kind.startswith("text/plain")
            assert 'weighbridge_moves_total{reason="breaker",to="google"} 1.0' in text
            open_metrics = "application/openmetrics-text; version=1.0.0"
            _, text, kind = await ask(port, "/metrics", Accept=open_metrics)
            assert kind.startswith("application/openmetrics-text")
            assert text.endswith("# EOF\n")
        finally:
            await server.stop()

    asyncio.run(history())


def test_a_port_that_is_taken_is_one_sentence_and_the_port_stays_with_its_owner() -> None:
    async def history(port: int) -> None:
        server = OpsServer(WorkerMetrics().registry, live=lambda: None, ready=lambda: None)
        with pytest.raises(NotReadyError, match=str(port)) as told:
            await server.start("127.0.0.1", port)
        assert (told.value.code, told.value.exit_code) == ("port_taken", 3)
        assert "ops.port" in told.value.mend
        await server.stop()

    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        asyncio.run(history(owner.getsockname()[1]))


def test_a_restarted_process_gets_its_port_back_while_old_connections_linger() -> None:
    async def history() -> None:
        registry = WorkerMetrics().registry
        first = OpsServer(registry, live=lambda: None, ready=lambda: None)
        port = await first.start("127.0.0.1", 0)
        assert (await ask(port, "/livez"))[0] == 200
        await first.stop()
        second = OpsServer(registry, live=lambda: None, ready=lambda: None)
        assert await second.start("127.0.0.1", port) == port
        assert (await ask(port, "/livez"))[0] == 200
        await second.stop()

    asyncio.run(history())
