"""The simulator as a server: every provider of the settings on one port."""

from typing import TYPE_CHECKING, Final, NoReturn

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
from workers.simulator.cloud import Cloud
from workers.simulator.control import Control
from workers.simulator.forms.openai_errors import error_form
from workers.simulator.forms.shape import JSON, Operation
from workers.simulator.problems import Details, Problem, What
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
            name: Cloud(
                name,
                provider.dialect,
                dict.fromkeys(model.name for model in provider.models.values()),
                settings.simulator,
                prose,
            )
            for name, provider in settings.providers.items()
        }
        self._control = Control(self.clouds)
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
        name, _, tail = path[1:].partition("/")
        cloud = self.clouds.get(name)
        try:
            if cloud is not None:
                return await self._of_cloud(cloud, tail, request)
            if path == "/livez":
                return web.Response(text="ok\n")
            if path.startswith(CONTROL):
                return await self._control.answer(request)
            self._nowhere(path)
        except Problem as problem:
            form = error_form(problem) if cloud is None else cloud.forms.error(None, problem)
            return web.Response(status=form.status, body=form.body, headers=form.headers)
        except web.HTTPRequestEntityTooLarge:
            sentence = f"The request is above {MAX_REQUEST_BYTES} bytes."
            too_large = Problem(What.TOO_LARGE, sentence)
            form = error_form(too_large) if cloud is None else cloud.forms.error(None, too_large)
            return web.Response(status=form.status, body=form.body, headers=form.headers)

    def _nowhere(self, path: str) -> NoReturn:
        known = ", ".join(self.clouds)
        sentence = f"There is no provider at {path}; paths begin with one of {known}."
        raise Problem(What.NO_SUCH_URL, sentence, Details(code="unknown_provider"))

    async def _of_cloud(
        self, cloud: Cloud, tail: str, request: web.BaseRequest
    ) -> web.StreamResponse:
        route = cloud.forms.route(request.method, tail, request.query_string)
        if route.operation is not Operation.MODELS:
            return await Call(cloud, request, route, self._chunk_every_s).run()
        cloud.check_key(request.headers)
        return web.Response(body=cloud.forms.told(route), headers=JSON)


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
