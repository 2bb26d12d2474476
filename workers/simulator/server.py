"""The simulator as a server: every provider of the settings on one port."""

import time
from typing import TYPE_CHECKING, Final

import orjson
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

from broker.records.errors import UsageError
from broker.settings import Settings
from broker.settings.simulated import OWN_CLOUDS
from broker.telemetry.listening import listen
from workers.simulator.addresses import CONTROL
from workers.simulator.calls import Call
from workers.simulator.chat_request import ApiError
from workers.simulator.cloud import Cloud
from workers.simulator.control import Control
from workers.simulator.prose import Prose

if TYPE_CHECKING:
    import asyncio

MAX_REQUEST_BYTES: Final = 64 * 1024 * 1024
_SHUTDOWN_S: Final = 0.2
"""Calls under way are given this long: nobody is promised a simulated answer."""


class SimulatorServer:
    """Made and used inside the event loop. Providers with an address of their own are there too."""

    def __init__(self, settings: Settings) -> None:
        strangers = sorted(set(settings.simulator.clouds) - set(settings.providers) - OWN_CLOUDS)
        if strangers:
            raise UsageError(
                f"simulator.clouds names {strangers[0]!r}, which is no provider.",
                mend=f"Known are: {', '.join(settings.providers)}.",
            )
        prose = Prose()
        self._chunk_every_s = settings.simulator.chunk_every_s
        self.clouds = {
            name: Cloud(name, {m.name for m in provider.models.values()}, settings.simulator, prose)
            for name, provider in settings.providers.items()
        }
        self._control = Control(self.clouds)
        self._chats = {f"/{name}/v1/chat/completions": c for name, c in self.clouds.items()}
        self._models = {
            f"/{name}/v1/models": _model_list(cloud) for name, cloud in self.clouds.items()
        }
        self._runner: web.ServerRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port (0 takes a free one); raises NotReadyError."""
        # Not an Application: its router and middlewares would cost as much as all of the rest.
        server = web.Server(
            self._answer,
            request_factory=_request,
            handler_cancellation=True,
            access_log=None,
        )
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        mend = "End what listens there, or give another one with --port."
        bound = await listen(runner, host, port, mend)
        self._runner = runner
        return bound

    async def stop(self) -> None:
        """Stop listening; calls under way end unanswered."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        path = request.path
        try:
            cloud = self._chats.get(path)
            if cloud is not None and request.method == "POST":
                return await Call(cloud, request, self._chunk_every_s).run()
            if path == "/livez":
                return web.Response(text="ok\n")
            if path.startswith(CONTROL):
                return await self._control.answer(request)
            if path in self._models:
                return _json_response(200, self._models[path])
            raise self._unknown(request)
        except ApiError as error:
            return _json_response(error.status, error.body)
        except web.HTTPRequestEntityTooLarge:
            too_large = ApiError(413, f"The request is above {MAX_REQUEST_BYTES} bytes.")
            return _json_response(too_large.status, too_large.body)

    def _unknown(self, request: web.BaseRequest) -> ApiError:
        path = request.path
        if path in self._chats:
            return ApiError(405, f"Not allowed to {request.method} on {path}.")
        name = path.strip("/").partition("/")[0]
        if name in self.clouds:
            return ApiError(404, f"Unknown request URL: {path}.", code="unknown_url")
        known = ", ".join(self.clouds)
        return ApiError(
            404,
            f"There is no provider at {path}; paths begin with one of {known}.",
            code="unknown_provider",
        )


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: RequestHandler,
    writer: AbstractStreamWriter,
    task: "asyncio.Task[None]",
) -> web.BaseRequest:
    return web.BaseRequest(
        message,
        payload,
        protocol,
        writer,
        task,
        protocol._loop,  # noqa: SLF001 - as aiohttp's own factory has it
        client_max_size=MAX_REQUEST_BYTES,
    )


def _model_list(cloud: Cloud) -> bytes:
    created = int(time.time())
    return orjson.dumps(
        {
            "object": "list",
            "data": [
                {"id": model, "object": "model", "created": created, "owned_by": cloud.name}
                for model in sorted(cloud.models)
            ],
        }
    )


def _json_response(status: int, body: bytes) -> web.Response:
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json"})
