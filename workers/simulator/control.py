"""The simulator's own paths: faults while it runs, and what was served. JSON in and out."""

import time
from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web
from pydantic import ValidationError

from broker import __version__
from broker.settings.simulated import FaultSettings
from workers.simulator.addresses import CONTROL, SIMULATOR_HEADER
from workers.simulator.chat_request import ApiError
from workers.simulator.cloud import Cloud
from workers.simulator.faults import FaultPlan

_CHANGES: Final = ("PUT", "PATCH")


class Control:
    """Answers `/control/faults`, `/control/faults/NAME` and `/control/served`."""

    def __init__(self, clouds: Mapping[str, Cloud]) -> None:
        self._clouds = clouds

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Do what is asked; raises ApiError."""
        what, _, name = request.path.removeprefix(CONTROL).partition("/")
        if what == "faults":
            return _json(await self._faults(request, name))
        if what == "served" and not name:
            return _json(self._served(request))
        raise ApiError(404, f"There is nothing at {request.path}.", code="not_found")

    async def _faults(self, request: web.BaseRequest, name: str) -> Any:
        chosen = self._chosen(name)
        if request.method == "DELETE":
            for cloud in chosen.values():
                cloud.clear_faults()
        elif request.method in _CHANGES and name:
            _change(chosen[name], await request.read(), keep=request.method == "PATCH")
        elif request.method != "GET":
            raise _not_allowed(request)
        now = time.time()
        shown = {cloud.name: cloud.faults.described(now) for cloud in chosen.values()}
        return shown[name] if name else shown

    def _served(self, request: web.BaseRequest) -> Any:
        """`provider` chooses one; `id` adds one prompt's calls, `ids=1` those of all prompts."""
        query = request.query
        chosen = self._chosen(query.get("provider", ""))
        if request.method == "DELETE":
            for cloud in chosen.values():
                cloud.served.reset()
        elif request.method != "GET":
            raise _not_allowed(request)
        shown = {}
        for name, cloud in chosen.items():
            shown[name] = cloud.served.totals()
            if "id" in query:
                shown[name]["by_id"] = {query["id"]: cloud.served.of_id(query["id"])}
            elif query.get("ids") == "1":
                shown[name]["by_id"] = cloud.served.by_id()
        return shown

    def _chosen(self, name: str) -> Mapping[str, Cloud]:
        if not name:
            return self._clouds
        if name not in self._clouds:
            known = ", ".join(self._clouds)
            raise ApiError(
                404,
                f"There is no provider {name!r}; known are {known}.",
                code="unknown_provider",
            )
        return {name: self._clouds[name]}


def _change(cloud: Cloud, body: bytes, *, keep: bool) -> None:
    now = time.time()
    try:
        given = orjson.loads(body)
        if not isinstance(given, dict):
            raise ApiError(400, "The faults must be a JSON object.", code="invalid_faults")
        cloud.faults = (
            cloud.faults.changed(given, now)
            if keep
            else FaultPlan(FaultSettings.model_validate(given), now)
        )
    except orjson.JSONDecodeError:
        raise ApiError(400, "The faults are not JSON.", code="invalid_faults") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, item['loc'])) or 'faults'}: {item['msg']}"
            for item in error.errors()
        )
        raise ApiError(400, f"The faults are wrong: {problems}.", code="invalid_faults") from error


def _not_allowed(request: web.BaseRequest) -> ApiError:
    return ApiError(405, f"{request.path} knows no {request.method}.", code="method_not_allowed")


def _json(value: Any) -> web.Response:
    return web.Response(
        body=orjson.dumps(value),
        headers={"Content-Type": "application/json", SIMULATOR_HEADER: __version__},
    )
