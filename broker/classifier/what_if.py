"""What would happen to a prompt that is not sent: weighed and routed as a classifier would now."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from broker.classifier.learning import Learning
from broker.classifier.router import Router
from broker.classifier.rules import rules_of
from broker.classifier.tokens import token_counter
from broker.classifier.weighing import Weighed, Weigher
from broker.core.provider_view import ProviderView
from broker.core.routing import Decision, NoDecision
from broker.log.clients import admin_config
from broker.log.provider_states import ProviderStatesReader
from broker.log.topic_names import TopicNames
from broker.log.topic_shapes import read_shapes
from broker.records.errors import UsageError
from broker.records.incoming import InputRecord
from broker.records.parsing import parse_prompt
from broker.records.prompt import Prompt, Rejected
from broker.settings import Settings
from broker.telemetry.metrics import ClassifierMetrics

_STATES_S: Final = 3.0
"""So long at most the first state of every provider is waited for: they report each second."""
_LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class WhatIf:
    """A prompt as a classifier would see it now, and what it would do."""

    prompt: Prompt
    weighed: Weighed
    policy: str
    chosen: Decision | NoDecision


def what_if(settings: Settings, fields: Mapping[str, Any]) -> WhatIf:
    """Weigh and route these fields of a prompt; nothing is written anywhere.

    Limits of tenants are not looked at. Raises UsageError for what would be refused as no valid
    prompt, NotReadyError when the broker or its topics are not there.
    """
    names = TopicNames(settings.kafka.prefix)
    topics = [names.prompts, names.completions, names.dead_letters]
    topics += [names.work(provider) for provider in settings.providers]
    rules = rules_of(settings, read_shapes(admin_config(settings), topics))
    now = time.time()
    record = InputRecord(names.prompts, 0, 0, now, None, orjson.dumps(fields))
    prompt = parse_prompt(record, rules.catalog)
    if isinstance(prompt, Rejected):
        raise UsageError(
            f"It would be refused: {prompt.message}",
            mend="See the fields of a prompt.",
            code=prompt.code,
        )  # fmt: skip - the message is what matters
    view = ProviderView(now)
    states = ProviderStatesReader(settings)
    states.start()
    learning = Learning(settings, rules, ClassifierMetrics())
    try:
        learning.read_up()
        ends = now + _STATES_S
        while time.time() < ends and not set(settings.providers) <= set(states.snapshot()):
            time.sleep(_LOOK_S)
        view.update(states.snapshot())
        now = time.time()
        counter = token_counter(settings.classifier.count_up_to_bytes)
        weighed = Weigher(rules, counter, learning.lengths, learning.thresholds).weigh(prompt, now)
        policy = rules.routes.policy_for(prompt.tenant, prompt.model).name
        return WhatIf(prompt, weighed, policy, Router(rules, view).choose(prompt, weighed, now))
    finally:
        states.close()
        learning.close()
