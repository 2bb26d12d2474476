"""How long the simulated clouds' calls take: the same laws and the same chance as theirs."""

from broker.settings.simulated import CloudSettings, SimulatorSettings
from broker.simulate.asked import Asked
from broker.simulate.served import Served
from workers.simulator.asked import LONGEST_ANSWER
from workers.simulator.draws import draw
from workers.simulator.faults import FaultPlan
from workers.simulator.latency import answer_length, latency_model


class SimulatedLaw:
    """The law of one simulated cloud, as `workers.simulator` has it."""

    def __init__(self, name: str, own: CloudSettings, settings: SimulatorSettings) -> None:
        self._name = name
        self._settings = settings
        self._latency = latency_model(own, settings.speed * own.speed, fast=settings.fast)
        # Outages are the cloud's own business: they do not hang on a call's chance.
        self._faults = FaultPlan(own.faults.model_copy(update={"outages": ()}), 0.0)

    def served(self, asked: Asked, number: int, now: float) -> Served:
        """Of the prompt's call `number`, with the chance that the simulator gives that one."""
        prompt = asked.prompt
        chance = draw(self._settings.seed, self._name, prompt.id, number)
        fault, first, each, length, place = chance[:5]
        timing = self._latency.timing(asked.input_tokens, first, each)
        tokens = 0
        if prompt.kind == "image":
            count = prompt.fields.get("n")
            count = count if isinstance(count, int) and count > 0 else 1
            timing = timing.later(count * self._latency.picture_s(each))
            tokens = asked.output_tokens or 0
        elif prompt.kind == "chat":
            tokens = self._tokens(asked, length)
        return Served(
            tokens,
            timing.first_token_s,
            timing.until(tokens),
            self._faults.choose(fault, now),
            place=place,
        )

    def _tokens(self, asked: Asked, length: float) -> int:
        """The answer's: as it was recorded, or as the simulator would make it."""
        settings, most = self._settings, asked.own_maximum
        if asked.output_tokens is not None:
            return asked.output_tokens if most is None else min(most, asked.output_tokens)
        if most is not None:
            return min(most, LONGEST_ANSWER)
        return answer_length(settings.answer_tokens, settings.answer_spread, LONGEST_ANSWER, length)
