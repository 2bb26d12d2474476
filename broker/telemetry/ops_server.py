"""`/livez`, `/readyz` and `/metrics` of one process."""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from broker.telemetry.listening import listen

Check = Callable[[], str | None]
"""None when all is well, else one sentence that says what is not."""


class OpsServer:
    """The operations endpoint; `live` and `ready` are asked at each request, so must be quick."""

    def __init__(self, registry: CollectorRegistry, *, live: Check, ready: Check) -> None:
        self._registry = registry
        self._live = live
        self._ready = ready
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port; raises NotReadyError when it is taken."""
        app = web.Application()
        app.router.add_get("/livez", self._answer_live)
        app.router.add_get("/readyz", self._answer_ready)
        app.router.add_get("/metrics", self._answer_metrics)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        bound = await listen(runner, host, port, "Set ops.port to a free one, or to 0.")
        self._runner = runner
        return bound

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer_live(self, _request: web.Request) -> web.Response:
        return _verdict(self._live())

    async def _answer_ready(self, _request: web.Request) -> web.Response:
        return _verdict(self._ready())

    async def _answer_metrics(self, request: web.Request) -> web.Response:
        encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encoder(self._registry), headers={"Content-Type": content_type})


def _verdict(problem: str | None) -> web.Response:
    if problem is None:
        return web.Response(text="ok\n")
    return web.Response(status=503, text=problem + "\n")
