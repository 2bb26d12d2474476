"""One simulated cloud: what it takes, when it answers, and what goes wrong with it."""

import time
from collections.abc import Collection, Mapping
from typing import Any, Final

from broker.settings.secrets import resolve_secret
from broker.settings.simulated import (
    CapacitySettings,
    CloudSettings,
    FaultSettings,
    SimulatorSettings,
)
from workers.simulator.asked import Asked, PicturesAsked, most_output
from workers.simulator.draws import draw
from workers.simulator.faults import Fault, FaultPlan
from workers.simulator.forms.dialects import forms_for
from workers.simulator.forms.shape import Head, Place
from workers.simulator.latency import Timing, latency_model
from workers.simulator.made import Completion, Made
from workers.simulator.minute_limits import MinuteLimits
from workers.simulator.problems import Details, Problem, What
from workers.simulator.prose import Prose
from workers.simulator.served import Served
from workers.simulator.slots import Slots
from workers.simulator.writing import Chance, Writer

LONGEST_WAIT_S: Final = 300.0
"""A call that got no slot in this time is turned away."""
UNBOUNDED: Final = 1_000_000
_BUSY_S: Final = 1.0
"""When a call that found no room is told to come back."""


class Cloud:
    """A provider's stand-in. Of one event loop. `models` are the names that it serves."""

    def __init__(
        self,
        name: str,
        dialect: str,
        models: Collection[str],
        settings: SimulatorSettings,
        prose: Prose,
    ) -> None:
        own = settings.clouds.get(name) or CloudSettings()
        self.name = name
        self.models = frozenset(models)
        place = Place(name, tuple(models), own.context_tokens, own.flat_errors)
        self.forms = forms_for(dialect, place)
        self.served = Served(settings.remember_ids)
        self.faults = FaultPlan(own.faults, time.time())
        self._own = own
        self._key = resolve_secret(own.api_key)
        self._settings = settings
        self._writer = Writer(own, settings, prose)
        self.capacity = self._first_capacity()
        self.slots = Slots(self.capacity.slots, self.capacity.queue, longest_wait_s=LONGEST_WAIT_S)
        # By model, or of all under the empty name: as many as there are models.
        self._limits: dict[str, MinuteLimits] = {}
        self._apply()

    def clear_faults(self) -> None:
        """Nothing goes wrong any more, not even what the configuration says."""
        self.faults = FaultPlan(FaultSettings(), time.time())

    def change_capacity(self, given: Mapping[str, Any]) -> None:
        """Change what is given, and keep the rest; raises pydantic's ValidationError."""
        kept = self.capacity.model_dump()
        self.capacity = CapacitySettings.model_validate({**kept, **given})
        self._apply()

    def reset_capacity(self) -> None:
        """Back to what the settings say."""
        self.capacity = self._first_capacity()
        self._apply()

    def chance(self, prompt_id: str | None, number: int) -> Chance:
        """The numbers of a prompt's call `number` here: no other call changes them."""
        return Chance(*draw(self._settings.seed, self.name, prompt_id, number)[:5])

    def check_key(self, headers: Mapping[str, str]) -> None:
        """Raise the Problem of a wrong key, or of none where one is needed."""
        if self._key is not None and self.forms.key(headers) != self._key:
            raise Problem(What.KEY)

    def check_model(self, asked: Asked) -> None:
        """Raise the Problem of a model that is not here."""
        if asked.model not in self.models:
            raise Problem(What.MODEL, details=Details(model=asked.model))

    def count(self, asked: Asked) -> int:
        """Tokens of a prompt; raises Problem for one that does not fit."""
        tokens = self._writer.count(asked)
        if tokens > self._own.context_tokens:
            raise self._too_long(asked.model, tokens)
        return tokens

    def admit(self, asked: Asked, input_tokens: int, now: float) -> None:
        """Let a call in, by this cloud's limits; raises the Problem of one that is too much.

        `now` is the loop's time. What counts is an estimate: the prompt, and the most that may
        come out, or the usual length of an answer where nobody said.
        """
        tokens = input_tokens + most_output(asked, self._settings.answer_tokens)
        most = self.capacity.concurrency
        if most is not None and self.slots.in_use + self.slots.waiting >= most:
            self.served.refuse()
            raise too_many(asked.model)
        limits = self._limits_of(asked.model)
        refused = None if limits.none else limits.admit(tokens, now)
        if refused is not None:
            self.served.refuse()
            raise Problem(
                What.REQUESTS if refused.what == "requests" else What.TOKENS,
                details=Details(
                    retry_after_s=refused.wait_s,
                    model=asked.model,
                    limit=refused.limit,
                    asked=refused.asked,
                ),
            )
        self.served.accept(tokens)

    def head(self, request_id: str, model: str, now: float, spilled_to: str | None) -> Head:
        """What the headers of a reply may tell."""
        limits = self._limits_of(model)
        if limits.none:
            return Head(request_id, model, spilled_to=spilled_to)
        requests, tokens = limits.left(now)
        return Head(request_id, model, requests, tokens, spilled_to)

    def answer(
        self,
        asked: Asked,
        input_tokens: int,
        prompt_id: str | None,
        chance: Chance,
        fault: Fault | None,
    ) -> tuple[Made, Timing]:
        """What is answered, and when; raises Problem for what this cloud will not answer."""
        if fault is Fault.TOO_LONG:
            raise self._too_long(asked.model, 0)
        own = self._own
        if fault is Fault.REFUSED or any(own.refuse_marker in text for text in asked.texts):
            raise Problem(
                What.REFUSED, details=Details(model=asked.model, input_tokens=input_tokens)
            )
        filtered = fault is Fault.FILTERED or any(own.filter_marker in one for one in asked.texts)
        made = self._writer.write(asked, input_tokens, prompt_id, chance, filtered=filtered)
        timing = self._latency.timing(input_tokens, chance.first, chance.each)
        if isinstance(made, Completion) and made.thought_tokens:
            timing = timing.later(made.thought_tokens * timing.per_token_s)
        elif isinstance(asked, PicturesAsked):
            timing = timing.later(asked.count * self._latency.picture_s(chance.each))
        return made, timing

    def _too_long(self, model: str, tokens: int) -> Problem:
        most = self._own.context_tokens
        details = Details(model=model, limit=most, asked=max(tokens, most + 1))
        return Problem(What.TOO_LONG, details=details)

    def _limits_of(self, model: str) -> MinuteLimits:
        capacity = self.capacity
        name = model if capacity.each_model and model in self.models else ""
        found = self._limits.get(name)
        if found is None:
            found = MinuteLimits(capacity.requests_per_minute, capacity.tokens_per_minute)
            self._limits[name] = found
        return found

    def _first_capacity(self) -> CapacitySettings:
        own = {name: getattr(self._own, name) for name in CapacitySettings.model_fields}
        if self._settings.fast:
            own["slots"] = UNBOUNDED
        return CapacitySettings(**own)

    def _apply(self) -> None:
        capacity, settings = self.capacity, self._settings
        self.slots.resize(capacity.slots, capacity.queue)
        for limits in self._limits.values():
            limits.requests = capacity.requests_per_minute
            limits.tokens = capacity.tokens_per_minute
        speed = settings.speed * capacity.speed
        self._latency = latency_model(self._own, speed, fast=settings.fast)


def too_many(model: str) -> Problem:
    """The problem of a call that finds as many others as there may be."""
    return Problem(What.CONCURRENCY, details=Details(retry_after_s=_BUSY_S, model=model))
