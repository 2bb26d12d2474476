"""One simulated cloud: what it answers to a request, when, and what goes wrong with it."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from broker.settings.simulated import CloudSettings, FaultSettings, SimulatorSettings
from workers.simulator.chat_reply import FILTERED, Completion
from workers.simulator.chat_request import LONGEST_ANSWER, ApiError, ChatRequest
from workers.simulator.draws import draw
from workers.simulator.faults import Fault, FaultPlan
from workers.simulator.latency import Timing, answer_length, latency_model
from workers.simulator.prose import Prose
from workers.simulator.served import Served
from workers.simulator.slots import Slots

LONGEST_WAIT_S: Final = 300.0
"""A call that got no slot in this time is turned away."""
_UNBOUNDED: Final = 1_000_000
_FILTERED_AFTER: Final = 8


@dataclass(frozen=True, slots=True)
class Chance:
    """The numbers of one call, each above 0 and below 1."""

    fault: float
    first: float
    each: float
    length: float
    place: float
    """Where a cut falls."""


class Cloud:
    """A provider's stand-in. Of one event loop. `models` are the names that it serves."""

    def __init__(
        self, name: str, models: Collection[str], settings: SimulatorSettings, prose: Prose
    ) -> None:
        own = settings.clouds.get(name) or CloudSettings()
        self.name = name
        self.models = frozenset(models)
        self.slots = Slots(
            _UNBOUNDED if settings.fast else own.slots, own.queue, longest_wait_s=LONGEST_WAIT_S
        )
        self.served = Served(settings.remember_ids)
        self.faults = FaultPlan(own.faults, time.time())
        self._own = own
        self._settings = settings
        self._latency = latency_model(own, settings.speed, fast=settings.fast)
        self._prose = prose

    def clear_faults(self) -> None:
        """Nothing goes wrong any more, not even what the configuration says."""
        self.faults = FaultPlan(FaultSettings(), time.time())

    def chance(self, prompt_id: str | None, number: int) -> Chance:
        """The numbers of a prompt's call `number` here: no other call changes them."""
        return Chance(*draw(self._settings.seed, self.name, prompt_id, number)[:5])

    def answer(
        self, request: ChatRequest, prompt_id: str | None, chance: Chance, fault: Fault | None
    ) -> tuple[Completion, Timing]:
        """What is answered, and when; raises ApiError for what this cloud cannot serve."""
        if request.model not in self.models:
            raise ApiError(
                404,
                f"The model `{request.model}` does not exist or you do not have access to it.",
                code="model_not_found",
                param="model",
            )
        input_tokens = request.extra_tokens + self._prose.count(request.texts)
        if input_tokens > self._own.context_tokens:
            raise self.too_long(input_tokens)
        length, cut, reason = self._length(request, chance)
        if fault is Fault.FILTERED:
            length, cut, reason = min(length, _FILTERED_AFTER), True, FILTERED
        whose = request.texts if prompt_id is None else (prompt_id,)
        choices = []
        for index in range(request.choices):
            start, stride = draw(self._settings.seed, "text", index, *whose)[:2]
            choices.append(self._prose.write(length, start, stride, cut=cut))
        completion = Completion(
            id=f"chatcmpl-{int(chance.place * 2**62):016x}",
            created=int(time.time()),
            model=request.model,
            input_tokens=input_tokens,
            choices=choices,
            finish_reason=reason,
        )
        return completion, self._latency.timing(input_tokens, chance.first, chance.each)

    def too_long(self, input_tokens: int) -> ApiError:
        """The error of a prompt that does not fit the model."""
        most = self._own.context_tokens
        return ApiError(
            400,
            f"This model's maximum context length is {most} tokens. However, your messages "
            f"resulted in {max(input_tokens, most + 1)} tokens.",
            code="context_length_exceeded",
            param="messages",
        )

    def _length(self, request: ChatRequest, chance: Chance) -> tuple[int, bool, str]:
        """Tokens of the answer, whether it ends in the middle of a sentence, and its reason."""
        longest = LONGEST_ANSWER // request.choices
        most = min(request.max_tokens or longest, longest)
        own = request.own_tokens or request.max_tokens
        if own is None:
            settings = self._settings
            own = answer_length(
                settings.answer_tokens, settings.answer_spread, longest, chance.length
            )
        return (most, True, "length") if own > most else (own, False, "stop")
