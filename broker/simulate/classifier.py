"""The classifier in virtual time: the real weighing, door and routing, without records."""

from broker.classifier.router import Router
from broker.classifier.rules import Rules, rules_of
from broker.classifier.tokens import How
from broker.classifier.weighing import Weigher
from broker.classifier.work_record import work_of
from broker.core.provider_view import ProviderView
from broker.core.routing import NoDecision
from broker.log.topic_names import TopicNames
from broker.log.topic_shapes import Shapes
from broker.records.completion import Failure
from broker.records.work import RouteStep, Work
from broker.settings import Settings
from broker.simulate.asked import Asked
from broker.simulate.learned import Learned
from broker.simulate.reports import Board
from broker.simulate.tenants import SimulatedTenants


class GivenTokens:
    """Stands in for the vocabulary: the tokens of the next prompt's texts are told before."""

    def __init__(self) -> None:
        self.tokens = 0

    def __call__(self, _texts: object) -> tuple[int, How]:
        """What was told."""
        return self.tokens, "counted"


class SimulatedClassifier:
    """The only classifier. It hears the workers' reports through `board`."""

    def __init__(self, settings: Settings, board: Board, now: float) -> None:
        rules = simulated_rules(settings)
        self._board = board
        self._view = ProviderView(now)
        self._tokens = GivenTokens()
        self.learned = Learned(settings, rules, now)
        self._weigher = Weigher(rules, self._tokens, self.learned.lengths, self.learned.thresholds)
        self._router = Router(rules, self._view)
        self.tenants = SimulatedTenants(settings)
        self._door = self.tenants.door

    def route(self, asked: Asked, now: float) -> Work | Failure:
        """The work record of one prompt, or how it ends here."""
        prompt = asked.prompt
        self._tokens.tokens = asked.input_tokens - asked.extra_tokens
        self._view.update(self._board.reports())
        if prompt.deadline is not None and prompt.deadline <= now:
            return Failure("expired", "deadline_passed", "")
        weighed = self._weigher.weigh(prompt, now)
        admitted = self._door.admit(prompt, weighed, now)
        if isinstance(admitted, Failure):
            return admitted
        chosen = self._router.choose(prompt, weighed, now)
        if isinstance(chosen, NoDecision):
            return Failure("routing", str(chosen.reason), chosen.sentence)
        self._router.sent(chosen, weighed, now)
        self._door.routed(prompt, weighed, admitted, now)
        step = RouteStep(chosen.provider, "", now, str(chosen.reason))
        return work_of(prompt, weighed, admitted, step)


def simulated_rules(settings: Settings) -> Rules:
    """The classifier's rules on topics as the settings want them."""
    names, given = TopicNames(settings.kafka.prefix), settings.topics
    work = {names.work(provider): given.work for provider in settings.providers}
    counts = {
        names.prompts: given.prompts,
        names.completions: given.completions,
        names.dead_letters: given.dead_letters,
        **work,
    }
    return rules_of(settings, Shapes(partitions=counts, most_bytes={}))
