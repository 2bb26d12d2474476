"""Answers one call over HTTP: checks it, waits for room, and does wrong what a fault asks for."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from workers.simulator.asked import Asked
from workers.simulator.cloud import Cloud, too_many
from workers.simulator.faults import Fault
from workers.simulator.forms.shape import Route
from workers.simulator.problems import Details, Problem, What
from workers.simulator.sending import SPOILT, Sending, gone, until
from workers.simulator.slots import QueueFullError
from workers.simulator.writing import Chance

ID_HEADER: Final = "x-weighbridge-id"
LONGEST_ID: Final = 256
"""Characters of a prompt's id that are remembered: more than any prompt of ours has."""

HANG_S: Final = 3_600.0
"""A call that is never answered is given up after this, for the client cannot still be there."""

_HANGS: Final = (Fault.HANGS, Fault.OUTAGE_HANG)
_PRESSURE: Final = (What.REQUESTS, What.TOKENS, What.CONCURRENCY)


class Call:
    """One call of one cloud, from its request to its end."""

    def __init__(
        self, cloud: Cloud, request: web.BaseRequest, route: Route, chunk_every_s: float
    ) -> None:
        self._cloud = cloud
        self._http = request
        self._route = route
        self._chunk_every_s = chunk_every_s
        self._loop = asyncio.get_running_loop()
        self._id = _prompt_id(request)
        self._spilled_to: str | None = None
        self._model = route.model or ""

    async def run(self) -> web.StreamResponse:
        """Answer it, and count it."""
        body = await self._http.read()
        served = self._cloud.served
        chance = self._cloud.chance(self._id, served.begin(self._id))
        fault = self._cloud.faults.choose(chance.fault, time.time())
        outcome = "abandoned"
        try:
            response = await self._answer(body, chance, fault)
            outcome = "ok" if fault is None else fault.value
        except Problem as problem:
            outcome = problem.what.value if fault is None else fault.value
            form = self._cloud.forms.error(self._route, problem)
            served.replied(form.status)
            headers = {**self._head(chance), **form.headers}
            return web.Response(status=form.status, body=form.body, headers=headers)
        except ConnectionError:
            return gone(self._http)
        else:
            return response
        finally:
            served.end(outcome)

    async def _answer(self, body: bytes, chance: Chance, fault: Fault | None) -> web.StreamResponse:
        cloud = self._cloud
        if fault in _HANGS:
            await asyncio.sleep(HANG_S)
            return gone(self._http)
        if fault is Fault.OUTAGE_CUT:
            return gone(self._http)
        if fault is Fault.OUTAGE:
            raise Problem(What.OVERLOADED)
        cloud.check_key(self._http.headers)
        if fault is not None:
            self._turn_away(fault)
        asked = cloud.forms.read(self._route, body)
        self._model = asked.model
        cloud.check_model(asked)
        input_tokens = cloud.count(asked)
        self._admit(asked, input_tokens)
        try:
            async with cloud.slots:
                made, timing = cloud.answer(asked, input_tokens, self._id, chance, fault)
                began = self._loop.time()
                if fault is Fault.CUTS:
                    await until(self._loop, began + timing.first_token_s)
                    return gone(self._http)
                sending = Sending(
                    cloud,
                    self._http,
                    route=self._route,
                    headers=self._head(chance),
                    chance=chance,
                    fault=fault,
                )
                if asked.stream:
                    events = cloud.forms.events(self._route, asked, made)
                    response = await sending.stream(
                        events, made.longest, timing, self._chunk_every_s
                    )
                else:
                    await until(self._loop, began + timing.until(made.longest))
                    response = await sending.whole(cloud.forms.whole(self._route, asked, made))
        except QueueFullError:
            cloud.served.refuse()
            raise too_many(asked.model) from None
        if fault not in SPOILT:
            cloud.served.answer(self._id, made.input_tokens, made.output_tokens)
        return response

    def _admit(self, asked: Asked, input_tokens: int) -> None:
        try:
            self._cloud.admit(asked, input_tokens, self._loop.time())
        except Problem as problem:
            # Capacity that is bought beside this one has no limit here.
            self._spilled_to = self._cloud.forms.spillover(self._http.headers)
            if self._spilled_to is None or problem.what not in _PRESSURE:
                raise

    def _turn_away(self, fault: Fault) -> None:
        """Raise the problem of a fault that is one."""
        settings = self._cloud.faults.settings
        if fault is Fault.RATE_LIMITED:
            raise Problem(What.REQUESTS, details=Details(retry_after_s=settings.retry_after_s))
        if fault is Fault.SERVER_ERRORS:
            raise Problem(What.SERVER, details=Details(status=settings.server_error_status))
        if fault is Fault.SPENT:
            raise Problem(What.SPENT)

    def _head(self, chance: Chance) -> Mapping[str, str]:
        cloud = self._cloud
        head = cloud.head(chance.hexadecimal, self._model, self._loop.time(), self._spilled_to)
        return cloud.forms.head(head)


def _prompt_id(request: web.BaseRequest) -> str | None:
    given = request.headers.get(ID_HEADER)
    if given is None:
        return None
    # Bytes that are no UTF-8 come as lone surrogates, which cannot be shown again.
    return given[:LONGEST_ID].encode("utf-8", "replace").decode()
