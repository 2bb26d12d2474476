"""Everything a decision needs to know that does not change from prompt to prompt."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from broker.core.lanes import LanePlan
from broker.core.route_terms import RouteTerms
from broker.core.weighing import Equivalents
from broker.log.topic_names import TopicNames
from broker.log.topic_shapes import Shapes
from broker.records.prompt import Catalog
from broker.settings import Settings
from broker.settings.route_terms import route_terms


@dataclass(frozen=True, slots=True)
class Rules:
    """Names, shapes, thresholds and bounds."""

    prompts: str
    completions: str
    dead_letters: str
    work: Mapping[str, str]
    """Work topic of each provider."""
    prompt_partitions: int
    completion_partitions: int
    dead_letter_partitions: int
    catalog: Catalog
    thresholds: LanePlan
    """What makes a weight light or heavy."""
    lanes: Mapping[str, LanePlan]
    """Partitions of the lanes by provider: their work topics may differ in size."""
    routes: RouteTerms
    """By which policy a provider is chosen."""
    output_factor: float
    most_bytes: Mapping[str, int]
    """Largest batch that the broker takes, by topic (`max.message.bytes`)."""
    completions_by_key: bool = False
    equivalents: Equivalents = field(default_factory=Equivalents)


def rules_of(settings: Settings, there: Shapes) -> Rules:
    """The rules that these settings make on topics of these shapes."""
    names = TopicNames(settings.kafka.prefix)
    work = {provider: names.work(provider) for provider in settings.providers}
    counts = there.partitions
    return Rules(
        prompts=names.prompts,
        completions=names.completions,
        dead_letters=names.dead_letters,
        work=work,
        prompt_partitions=counts[names.prompts],
        completion_partitions=counts[names.completions],
        dead_letter_partitions=counts[names.dead_letters],
        catalog=replace(settings.catalog(), completion_partitions=counts[names.completions]),
        thresholds=settings.lane_plan(),
        lanes={provider: settings.lane_plan(counts[topic]) for provider, topic in work.items()},
        routes=route_terms(settings),
        output_factor=settings.lanes.output_factor,
        most_bytes=there.most_bytes,
        completions_by_key=settings.completions.partition_by == "key",
    )
