"""What would happen to a prompt that is not sent: weighed, let in and routed as it would be now."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any, Final

import orjson

from broker.classifier.at_the_door import AtDoor, Doors, Read
from broker.classifier.learning import Learning
from broker.classifier.router import Router
from broker.classifier.rules import Rules, rules_of
from broker.classifier.tenant_costs import expected_costs
from broker.classifier.tokens import token_counter
from broker.classifier.turned_away import nobody_takes, too_late
from broker.classifier.weighing import Weighed, Weigher
from broker.core.provider_view import ProviderView
from broker.core.routing import Decision, NoDecision
from broker.log.clients import admin_config
from broker.log.group_names import classifier_group
from broker.log.group_parts import GroupParts
from broker.log.provider_states import ProviderStatesReader
from broker.log.topic_names import TopicNames
from broker.log.topic_shapes import read_shapes
from broker.records.completion import Failure
from broker.records.errors import UsageError
from broker.records.incoming import InputRecord
from broker.records.parsing import parse_prompt
from broker.records.prompt import Prompt, Rejected
from broker.settings import Settings
from broker.telemetry.metrics import ClassifierMetrics

_STATES_S: Final = 3.0
"""So long at most the first state of every provider is waited for: they report each second."""
_LOOK_S: Final = 0.05
_LISTENED_S: Final = 60.0

Ledger = Callable[[str], Iterable[Read | None]]
"""Reads what counts for a tenant's limits."""


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A prompt as a classifier would see it at `at` (unix seconds), and what it would do.

    `doors` has what each classifier's door would say, those with the most partitions first; none
    where the tenant has no limits. `silent` are providers of whom nothing was heard, `unpriced`
    that no price of the model is known, so that it counts no dollars.
    """

    prompt: Prompt
    at: float
    weighed: Weighed
    policy: str
    chosen: Decision | NoDecision
    doors: tuple[AtDoor, ...] = ()
    classifiers: int = 0
    silent: tuple[str, ...] = ()
    unpriced: bool = False

    @property
    def is_late(self) -> bool:
        """Whether its deadline has passed already."""
        return self.prompt.deadline is not None and self.prompt.deadline <= self.at

    @property
    def error(self) -> Failure | None:
        """What its completion would say, where it would end at once."""
        if self.is_late:
            return too_late()
        if self.doors and isinstance(self.doors[0].said, Failure):
            return self.doors[0].said
        if isinstance(self.chosen, NoDecision):
            return nobody_takes(self.chosen, self.weighed)
        return None

    @property
    def verdict(self) -> str:
        """`routed`, `waits` (routed, and may not begin yet), `failed` or `expired`."""
        if self.is_late:
            return "expired"
        if self.error is not None:
            return "failed"
        return "waits" if self.doors and self.doors[0].verdict == "waits" else "routed"


def what_if(settings: Settings, fields: Mapping[str, Any], ledger: Ledger) -> WhatIf:
    """Weigh, let in and route these fields of a prompt; nothing is written anywhere.

    Raises UsageError for what would be refused as no valid prompt, NotReadyError when the broker or
    its topics are not there.
    """
    names = TopicNames(settings.kafka.prefix)
    topics = [names.prompts, names.completions, names.dead_letters]
    topics += [names.work(provider) for provider in settings.providers]
    rules = rules_of(settings, read_shapes(admin_config(settings), topics))
    value = _value(fields)
    prompt = _prompt(rules, value)
    group = classifier_group(settings.kafka.prefix)
    members = GroupParts(admin_config(settings), group, names.prompts)
    states = ProviderStatesReader(settings)
    states.start()
    learning = Learning(settings, rules, ClassifierMetrics())
    try:
        learning.read_up()
        parts = members.told()
        unpriced: list[str] = []
        doors = None
        terms = settings.tenant_terms()
        if terms.limits_of(prompt.tenant) is not None:
            costs = expected_costs(settings, unpriced.append)
            doors = Doors(parts, rules.prompt_partitions, terms, costs)
            doors.read(ledger(prompt.tenant))
        view, silent = _listen(settings, states)
        prompt, now = _prompt(rules, value), time.time()  # anew: its deadline counts from now
        counter = token_counter(settings.classifier.count_up_to_bytes)
        weighed = Weigher(rules, counter, learning.lengths, learning.thresholds).weigh(prompt, now)
        return WhatIf(
            prompt,
            now,
            weighed,
            rules.routes.policy_for(prompt.tenant, prompt.model).name,
            Router(rules, view).choose(prompt, weighed, now),
            () if doors is None else doors.say(prompt, weighed, now),
            len(parts),
            silent,
            bool(unpriced),
        )
    finally:
        states.close()
        learning.close()


def _value(fields: Mapping[str, Any]) -> bytes:
    for name, one in fields.items():
        if isinstance(one, float) and not isfinite(one):
            raise UsageError(f"`{name}` is {one}, which is no number.", mend="Give a finite one.")
    try:
        return orjson.dumps(fields)
    except TypeError:
        raise UsageError(
            "What is asked is not UTF-8 text.", mend="Check the terminal's encoding."
        ) from None


def _prompt(rules: Rules, value: bytes) -> Prompt:
    record = InputRecord(rules.prompts, 0, 0, time.time(), None, value)
    prompt = parse_prompt(record, rules.catalog)
    if isinstance(prompt, Rejected):
        raise UsageError(
            f"It would be refused: {prompt.message}",
            mend="See the fields of a prompt.",
            code=prompt.code,
        )  # fmt: skip - the message is what matters
    return prompt


def _listen(
    settings: Settings, states: ProviderStatesReader
) -> tuple[ProviderView, tuple[str, ...]]:
    """The providers as they stand now, and those of whom nothing is heard."""
    began = time.time()
    # A classifier has been listening for long: whom it has never heard it takes for silent.
    view = ProviderView(began - _LISTENED_S)
    wanted = set(settings.providers)
    while time.time() < began + _STATES_S and not wanted <= set(states.snapshot()):
        time.sleep(_LOOK_S)
    heard = states.snapshot()
    view.update(heard)
    return view, tuple(one for one in settings.providers if one not in heard)
