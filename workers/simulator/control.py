"""The simulator's own paths: faults and capacity while it runs, and what was served.

JSON in and out. Its errors have OpenAI's form, whatever the clouds speak.
"""

import time
from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web
from pydantic import ValidationError

from broker import __version__
from broker.settings.simulated import FaultSettings
from workers.simulator.addresses import CONTROL, SIMULATOR_HEADER
from workers.simulator.cloud import Cloud
from workers.simulator.faults import FaultPlan
from workers.simulator.problems import Details, Problem, What

_CHANGES: Final = ("PUT", "PATCH")


class Control:
    """Answers `/control/faults`, `/control/capacity`, each with `/NAME`, and `/control/served`."""

    def __init__(self, clouds: Mapping[str, Cloud]) -> None:
        self._clouds = clouds

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Do what is asked; raises Problem."""
        what, _, name = request.path.removeprefix(CONTROL).partition("/")
        if what == "faults":
            return _json(await self._faults(request, name))
        if what == "capacity":
            return _json(await self._capacity(request, name))
        if what == "served" and not name:
            return _json(self._served(request))
        sentence = f"There is nothing at {request.path}."
        raise Problem(What.NO_SUCH_URL, sentence, Details(code="not_found"))

    async def _faults(self, request: web.BaseRequest, name: str) -> Any:
        chosen = self._chosen(name)
        if request.method == "DELETE":
            for cloud in chosen.values():
                cloud.clear_faults()
        elif request.method in _CHANGES and name:
            given = _object(await request.read(), "faults")
            cloud, now = chosen[name], time.time()
            try:
                cloud.faults = (
                    cloud.faults.changed(given, now)
                    if request.method == "PATCH"
                    else FaultPlan(FaultSettings.model_validate(given), now)
                )
            except ValidationError as error:
                raise _refused("faults", error) from error
        elif request.method != "GET":
            raise _not_allowed(request)
        now = time.time()
        shown = {cloud.name: cloud.faults.described(now) for cloud in chosen.values()}
        return shown[name] if name else shown

    async def _capacity(self, request: web.BaseRequest, name: str) -> Any:
        """DELETE brings back what the settings say."""
        chosen = self._chosen(name)
        if request.method == "DELETE":
            for cloud in chosen.values():
                cloud.reset_capacity()
        elif request.method == "PATCH" and name:
            given = _object(await request.read(), "capacity")
            try:
                chosen[name].change_capacity(given)
            except ValidationError as error:
                raise _refused("capacity", error) from error
        elif request.method != "GET":
            raise _not_allowed(request)
        shown = {cloud.name: cloud.capacity.model_dump() for cloud in chosen.values()}
        return shown[name] if name else shown

    def _served(self, request: web.BaseRequest) -> Any:
        """`provider` chooses one; `id` adds one prompt's calls, `ids=1` those of all prompts.

        `history=1` adds what was let in and turned away second by second.
        """
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
            if query.get("history") == "1":
                shown[name]["history"] = cloud.served.history.rows()
        return shown

    def _chosen(self, name: str) -> Mapping[str, Cloud]:
        if not name:
            return self._clouds
        if name not in self._clouds:
            known = ", ".join(self._clouds)
            sentence = f"There is no provider {name!r}; known are {known}."
            raise Problem(What.NO_SUCH_URL, sentence, Details(code="unknown_provider"))
        return {name: self._clouds[name]}


def _object(body: bytes, what: str) -> dict[str, Any]:
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _invalid(what, f"The {what} are not JSON.") from None
    if not isinstance(given, dict):
        raise _invalid(what, f"The {what} must be a JSON object.")
    return given


def _refused(what: str, error: ValidationError) -> Problem:
    problems = "; ".join(
        f"{'.'.join(map(str, item['loc'])) or what}: {item['msg']}" for item in error.errors()
    )
    return _invalid(what, f"The {what} are wrong: {problems}.")


def _invalid(what: str, sentence: str) -> Problem:
    return Problem(What.INVALID, sentence, Details(code=f"invalid_{what}"))


def _not_allowed(request: web.BaseRequest) -> Problem:
    sentence = f"{request.path} knows no {request.method}."
    return Problem(What.METHOD, sentence, Details(code="method_not_allowed"))


def _json(value: Any) -> web.Response:
    return web.Response(
        body=orjson.dumps(value),
        headers={"Content-Type": "application/json", SIMULATOR_HEADER: __version__},
    )
