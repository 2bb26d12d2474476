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


class SimulatedClassifier:
    """The only classifier. It hears the workers' reports through `board`."""

    def __init__(self, settings: Settings, board: Board, now: float) -> None:
        rules = simulated_rules(settings)
        self._board = board
        self._seen = board.reports()
        self._view = ProviderView(now)
        self.learned = Learned(settings, rules, now)
        self._weigher = Weigher(
            rules, _counted_before, self.learned.lengths, self.learned.thresholds
        )
        self._router = Router(rules, self._view)
        self.tenants = SimulatedTenants(settings)
        self._door = self.tenants.door

    def route(self, asked: Asked, now: float) -> Work | Failure:
        """The work record of one prompt, or how it ends here."""
        prompt = asked.prompt
        reports = self._board.reports()
        if reports is not self._seen:
            self._seen = reports
            self._view.update(reports)
        if prompt.deadline is not None and prompt.deadline <= now:
            return Failure("expired", "deadline_passed", "")
        weighed = self._weigher.weighed(prompt, asked.input_tokens, "counted", now)
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


def _counted_before(texts: object) -> tuple[int, How]:
    raise AssertionError(f"a replay counts nothing, and was given {type(texts).__name__}")


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
