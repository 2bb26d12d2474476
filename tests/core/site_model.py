"""A deployment of the model broker: topics, providers, tenants' limits, a clock, what is asked."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

from broker.classifier.rules import Rules
from broker.core.dedupe import home_partition
from broker.core.lane_fitting import Bounds
from broker.core.lanes import LanePlan, default_ranges
from broker.core.route_terms import RouteTerms
from broker.core.routing import RoutingRules
from broker.core.tenant_limits import TenantLimits, TenantTerms
from broker.core.token_estimate import estimate_tokens
from broker.log.topic_names import TopicNames
from broker.log.units import Output, PartitionSet
from broker.records.control import Cancel, encode_cancel
from broker.records.incoming import Headers
from broker.records.lane_change import LaneChange, encode_lane_change
from broker.records.prompt import Catalog
from broker.records.providers import ProviderState
from tests.core.kafka_model import Broker, Place

PROVIDERS: Final = ("azure", "google", "coreweave", "openai")
MODELS: Final = ("chat-small", "chat-large")
MOST_MOVES: Final = 2
"""Fewer than there are other providers: never going back would not do."""
TOPICS: Final = TopicNames("t")
PROMPTS: Final = [(TOPICS.prompts, number) for number in range(2)]
COMPLETIONS: Final = [(TOPICS.completions, number) for number in range(2)]
LEDGER: Final[Place] = (TOPICS.tenants, 0)
CONTROL: Final[Place] = (TOPICS.control, 0)
DEAD: Final[Place] = (TOPICS.dead_letters, 0)
FIRST: Final = Bounds(120, 200)
PLAN: Final = LanePlan(FIRST.light_max, FIRST.heavy_min, default_ranges(4))
WORK: Final = {name: [(TOPICS.work(name), number) for number in range(4)] for name in PROVIDERS}
GROUPS: Final = {"classifier": PROMPTS, **WORK}
OTHERS: Final = (*COMPLETIONS, LEDGER, CONTROL, DEAD)

CATALOG: Final = Catalog(
    dict.fromkeys(MODELS, "chat"), {"chat": MODELS[0]}, dict.fromkeys(MODELS, PROVIDERS), 2
)
ROUTES: Final = RouteTerms(
    CATALOG,
    RoutingRules({"light": 2.0, "medium": 1.0, "heavy": 0.5, "batch": 9.0}, max_moves=MOST_MOVES),
)
RULES: Final = Rules(
    prompts=TOPICS.prompts,
    completions=TOPICS.completions,
    dead_letters=TOPICS.dead_letters,
    work={name: TOPICS.work(name) for name in PROVIDERS},
    prompt_partitions=len(PROMPTS),
    completion_partitions=len(COMPLETIONS),
    dead_letter_partitions=1,
    catalog=CATALOG,
    thresholds=PLAN,
    lanes=dict.fromkeys(PROVIDERS, PLAN),
    routes=ROUTES,
    output_factor=4.0,
    most_bytes={},
    completions_by_key=True,
)

DAY_REQUESTS: Final = 6
MONTH_TOKENS: Final = 400.0
MINUTE_REQUESTS: Final = 4
WAIT_S: Final = 25.0
LIMITS: Final = {
    "capped": TenantLimits(day=(DAY_REQUESTS, None, None)),
    "frugal": TenantLimits(month=(None, MONTH_TOKENS, None)),
    "paced": TenantLimits(minute=(MINUTE_REQUESTS, None, None), max_wait_s=WAIT_S),
}
TENANTS: Final = (*LIMITS, "open")
TERMS: Final = TenantTerms(limits=LIMITS, shares={"open": 2.0})
START: Final = 1_795_000_000.0
OUTPUTS: Final = (20, 45)
"""Tokens of answers, so that weights lie around the thresholds."""


class Rec(NamedTuple):
    """A record; `at` is when the broker took it (unix seconds)."""

    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    at: float = 0.0


def counted(texts: Sequence[str]) -> tuple[int, Any]:
    """Tokens by the core's estimate: no vocabulary is needed for a history."""
    return sum(map(estimate_tokens, texts)), "counted"


@dataclass
class Site:
    """What all processes of a history share, and the people who use it."""

    drawn: random.Random
    broker: Broker | None = None
    now: float = START
    reports: dict[str, tuple[ProviderState, ...]] = field(default_factory=dict)
    earlier: list[int] = field(default_factory=list)
    """Weights of the traffic before, which pull the thresholds."""
    asked: list[str] = field(default_factory=list)
    asked_to_cancel: set[str] = field(default_factory=set)
    may_expire: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        around = self.drawn.choice((40, 110, 160, 400))
        self.earlier = [max(1, round(self.drawn.gauss(around, around / 4))) for _ in range(250)]

    @property
    def log(self) -> Broker:
        assert self.broker is not None
        return self.broker

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def ask(self, tenant: str) -> str:
        """Somebody asks; returns the id under which it has to end."""
        drawn = self.drawn
        fields: dict[str, Any] = {
            "prompt": "Why is the sky blue?" * drawn.randint(1, 3),
            "tenant": tenant,
            "model": drawn.choice(MODELS),
            "max_output_tokens": drawn.randint(*OUTPUTS),
            "priority": drawn.choice(("standard", "standard", "interactive", "batch")),
        }
        place = drawn.choice(PROMPTS)
        identity = f"{place[1]}-{len(self.log.logs[place])}"
        if drawn.random() < 0.8:
            identity = fields["id"] = f"id{drawn.randrange(120)}"
            if drawn.random() < 0.7:
                place = PROMPTS[home_partition(identity, len(PROMPTS))]
        if drawn.random() < 0.1:
            fields["timeout_s"] = drawn.choice((5, 30, 90))
            self.may_expire.add(identity)
        headers = ((("reply-partition", b"1"),), ())[drawn.random() < 0.8]
        self.log.append(place, Rec(None, orjson.dumps(fields), headers, self.now))
        self.asked.append(identity)
        return identity

    def cancel(self) -> None:
        """Somebody cancels one of the latest."""
        identity = self.drawn.choice(self.asked[-8:] or ["id0"])
        self.asked_to_cancel.add(identity)
        asked = Cancel(identity, self.now)
        self.log.append(CONTROL, Rec(asked.key, encode_cancel(asked), at=self.now))

    def set_lanes(self) -> None:
        """Other thresholds, as far from those in force as they can be."""
        light = self.drawn.randint(60, 180)
        heavy = self.drawn.randint(light + 1, 320)
        change = LaneChange(light, heavy, light, heavy, "somebody said so", self.now)
        self.log.append(CONTROL, Rec(b"lanes", encode_lane_change(change), at=self.now))

    def placed(self, output: Output) -> tuple[Place, Rec]:
        """Where an output goes, of the partitions that it may go to."""
        to = output.partition
        if isinstance(to, PartitionSet):
            to = to.first + self.drawn.randrange(to.count)
        return (output.topic, to), Rec(output.key, output.value, output.headers)
