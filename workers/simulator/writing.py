"""What a simulated cloud answers: texts, calls of tools, JSON, pictures, vectors. Of one cloud."""

import json
import time
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from broker.settings.simulated import CloudSettings, SimulatorSettings
from workers.simulator.asked import (
    LONGEST_ANSWER,
    Asked,
    ChatAsked,
    CountAsked,
    PicturesAsked,
    VectorsAsked,
)
from workers.simulator.draws import draw
from workers.simulator.json_answer import JsonAnswer
from workers.simulator.latency import answer_length
from workers.simulator.made import (
    FILTERED,
    LENGTH,
    STOP,
    TOOL,
    Completion,
    Count,
    Pictures,
    Vectors,
)
from workers.simulator.pictures import picture
from workers.simulator.problems import Problem, What, wrong
from workers.simulator.prompt_cache import PromptCache
from workers.simulator.prose import Prose
from workers.simulator.vectors import embedding

_FILTERED_AFTER: Final = 8
_ANY_OBJECT: Final = {"type": "object", "properties": {"answer": {"type": "string"}}}


@dataclass(frozen=True, slots=True)
class Chance:
    """The numbers of one call, each above 0 and below 1."""

    fault: float
    first: float
    each: float
    length: float
    place: float
    """Where a cut falls."""

    @property
    def hexadecimal(self) -> str:
        """16 digits that name the call."""
        return f"{int(self.place * 2**62):016x}"


class Writer:
    """Makes answers. The same prompt (or id) has the same answer, whichever call it is."""

    def __init__(self, own: CloudSettings, settings: SimulatorSettings, prose: Prose) -> None:
        self._own = own
        self._settings = settings
        self._prose = prose
        self._cache = PromptCache()

    def count(self, asked: Asked) -> int:
        """Tokens of the prompt."""
        return asked.extra_tokens + self._prose.count(asked.texts)

    def write(
        self,
        asked: Asked,
        input_tokens: int,
        prompt_id: str | None,
        chance: Chance,
        *,
        filtered: bool,
    ) -> Completion | Pictures | Vectors | Count:
        """The answer; `filtered`: it does not pass the filter. Raises Problem."""
        if isinstance(asked, ChatAsked):
            return self._chat(asked, input_tokens, prompt_id, chance, filtered=filtered)
        created, name = int(time.time()), chance.hexadecimal
        if isinstance(asked, CountAsked):
            return Count(name, created, asked.model, input_tokens)
        if isinstance(asked, PicturesAsked):
            if filtered:
                raise Problem(What.PICTURE)
            return self._pictures(asked, input_tokens, prompt_id, chance)
        return self._vectors(asked, input_tokens, chance)

    def _chat(
        self,
        asked: ChatAsked,
        input_tokens: int,
        prompt_id: str | None,
        chance: Chance,
        *,
        filtered: bool,
    ) -> Completion:
        longest = LONGEST_ANSWER // asked.choices
        most = min(asked.max_tokens or longest, longest)
        thoughts = min(asked.thoughts, most // 2) if asked.thoughts else 0
        whose = asked.texts if prompt_id is None else (prompt_id,)
        if asked.tool is not None or asked.schema is not None:
            choices, reason = self._structured(asked, most - thoughts, whose)
        else:
            length, cut, reason = self._length(asked, most - thoughts, chance)
            if filtered:
                length, cut, reason = min(length, _FILTERED_AFTER), True, FILTERED
            choices = []
            for index in range(asked.choices):
                start, stride = draw(self._settings.seed, "text", index, *whose)[:2]
                choices.append(self._prose.write(length, start, stride, cut=cut))
        if filtered and reason != FILTERED:
            choices = [tokens[:_FILTERED_AFTER] for tokens in choices]
            reason = FILTERED
        return Completion(
            id=chance.hexadecimal,
            created=int(time.time()),
            model=asked.model,
            input_tokens=input_tokens,
            choices=choices,
            finish_reason=reason,
            cached_tokens=self._cache.cached(asked.texts, input_tokens),
            thought_tokens=thoughts,
            thoughts=self._thoughts(thoughts, whose) if asked.show_thoughts and thoughts else "",
            tool=None if asked.tool is None else asked.tool.name,
        )

    def _structured(
        self, asked: ChatAsked, most: int, whose: tuple[str, ...]
    ) -> tuple[list[list[str]], str]:
        schema = asked.tool.schema if asked.tool is not None else asked.schema
        choices = []
        for index in range(asked.choices):
            seed = draw(self._settings.seed, "json", index, *whose)[0]
            chance = Random(seed)  # noqa: S311 - the same prompt has the same answer
            value = JsonAnswer(schema or _ANY_OBJECT, chance, self._words).value()
            choices.append(self._prose.split(json.dumps(value)))
        if max(map(len, choices)) > most:
            return [tokens[:most] for tokens in choices], LENGTH
        return choices, STOP if asked.tool is None else TOOL

    def _words(self, tokens: int, chance: Random) -> str:
        return "".join(self._prose.write(tokens, chance.random(), chance.random()))

    def _thoughts(self, tokens: int, whose: tuple[str, ...]) -> str:
        start, stride = draw(self._settings.seed, "thoughts", *whose)[:2]
        return "".join(self._prose.write(min(tokens, 64), start, stride))

    def _pictures(
        self, asked: PicturesAsked, input_tokens: int, prompt_id: str | None, chance: Chance
    ) -> Pictures:
        whose: Any = asked.texts if prompt_id is None else (prompt_id,)
        seeds = [
            draw(self._settings.seed, "picture", index, *whose)[0] for index in range(asked.count)
        ]
        size = self._own.picture_bytes
        return Pictures(
            id=chance.hexadecimal,
            created=int(time.time()),
            model=asked.model,
            input_tokens=input_tokens,
            pictures=[picture(asked.width, asked.height, size, seed) for seed in seeds],
            output_tokens=asked.count * asked.tokens_each,
        )

    def _vectors(self, asked: VectorsAsked, input_tokens: int, chance: Chance) -> Vectors:
        most = self._own.dimensions
        if asked.dimensions is not None and asked.dimensions > most:
            raise wrong("dimensions", f"must be at most {most}")
        length = asked.dimensions or most
        return Vectors(
            id=chance.hexadecimal,
            created=int(time.time()),
            model=asked.model,
            input_tokens=input_tokens,
            vectors=[embedding(text, length) for text in asked.texts],
            counts=[self._prose.count((text,)) for text in asked.texts],
        )

    def _length(self, asked: ChatAsked, most: int, chance: Chance) -> tuple[int, bool, str]:
        """Tokens of the answer, whether it ends in the middle of a sentence, and its reason."""
        own = asked.own_tokens or (None if asked.max_tokens is None else most)
        if own is None:
            settings = self._settings
            own = answer_length(settings.answer_tokens, settings.answer_spread, most, chance.length)
        return (most, True, LENGTH) if own > most else (own, False, STOP)
