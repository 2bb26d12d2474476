"""What a classifier decides with: the parts put together, and what of them runs beside it."""

import time
from collections.abc import Callable, Collection

from broker.classifier.decide import Decider
from broker.classifier.learning import Learning
from broker.classifier.router import Router
from broker.classifier.rules import Rules
from broker.classifier.tenant_keeping import TenantKeeping
from broker.classifier.tokens import CountTokens
from broker.classifier.weighing import Weigher
from broker.core.provider_view import ProviderView
from broker.core.sharding import TenantShards
from broker.log.cancel_reader import CancelReader
from broker.log.provider_states import ProviderStatesReader
from broker.settings import Settings
from broker.settings.route_terms import route_terms
from broker.telemetry.metrics import ClassifierMetrics
from broker.telemetry.settings_watch import SettingsWatch


class Parts:
    """The decider of one classifier, and the readers that it learns from."""

    def __init__(
        self,
        settings: Settings,
        rules: Rules,
        count_tokens: CountTokens,
        metrics: ClassifierMetrics,
        on_loop: Callable[..., None],
    ) -> None:
        self._states = ProviderStatesReader(settings)
        self._view = ProviderView(time.time())
        self._cancels = CancelReader(settings)
        self._watch = SettingsWatch(settings, metrics.settings_reloads)
        self._learning = Learning(settings, rules, metrics)
        self.tenants = TenantKeeping(settings, rules.prompt_partitions, on_loop)
        self._watch.subscribe(self.tenants.changed)
        self._watch.subscribe(lambda new: self.router.use(route_terms(new)))
        self.router = Router(rules, self._view)
        self._partitions = rules.prompt_partitions
        self.decider = Decider(
            rules,
            Weigher(rules, count_tokens, self._learning.lengths, self._learning.thresholds),
            self.router,
            self.tenants.door,
            shards=TenantShards(time.time()) if settings.lanes.shuffle_sharding else None,
            cancels=self._cancels.cancels,
        )

    def start(self) -> None:
        """Begin to read what others say."""
        self._states.start()
        self._cancels.start()
        self._learning.start()
        self.tenants.start()
        self._watch.start()

    def wait_ready(self) -> None:
        """Wait, some seconds at most, for what the first decision should know already.

        That is what was cancelled while no classifier ran, and how long answers were. For another
        thread than the loop's, which has to run meanwhile.
        """
        self._cancels.wait_caught_up()
        self._learning.wait_caught_up()

    def assigned(self, partitions: Collection[int]) -> None:
        """A rebalance is over: these partitions are ours, and others decide for the rest."""
        self._view.share = len(partitions) / self._partitions
        self.tenants.assigned(partitions)

    def before_slice(self) -> None:
        """Take in what was read; on the event loop, before each slice of decisions."""
        self._view.update(self._states.snapshot())
        self.tenants.take_in()
        self._learning.before_slice()

    def close(self) -> None:
        """Stop reading; may take some seconds."""
        self._states.close()
        self._cancels.close()
        self._learning.close()
        self._watch.close()
        self.tenants.close()
