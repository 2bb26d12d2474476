"""What a classifier decides with: the parts put together, and what of them runs beside it."""

import time
from collections.abc import Callable, Collection
from dataclasses import replace

from broker.classifier.decide import Decider
from broker.classifier.lane_keeping import show_bounds
from broker.classifier.learning import Learning
from broker.classifier.router import Router
from broker.classifier.rules import Rules
from broker.classifier.tenant_keeping import TenantKeeping
from broker.classifier.tokens import CountTokens
from broker.classifier.weighing import Weigher
from broker.core.lane_fitting import Bounds
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
        self._rules, self._metrics = rules, metrics
        self._states = ProviderStatesReader(settings)
        self._view = ProviderView(time.time())
        self._cancels = CancelReader(settings)
        self._watch = SettingsWatch(settings, metrics.settings_reloads)
        self._learning = Learning(settings, rules, metrics)
        self.tenants = TenantKeeping(settings, rules.prompt_partitions, on_loop)
        self._watch.subscribe(self.tenants.changed)
        self._watch.subscribe(lambda new: self.router.use(route_terms(new)))
        self._watch.subscribe(lambda new: on_loop(self._weigh_by, new))
        self.router = Router(rules, self._view)
        self._weigher = Weigher(
            rules, count_tokens, self._learning.lengths, self._learning.thresholds
        )
        self._shards = TenantShards(time.time())
        self.decider = Decider(
            rules,
            self._weigher,
            self.router,
            self.tenants.door,
            shards=self._shards if settings.lanes.shuffle_sharding else None,
            cancels=self._cancels.cancels,
        )
        self._show_bounds(rules)

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
        self._view.share = len(partitions) / self._rules.prompt_partitions
        self.tenants.assigned(partitions)

    def before_slice(self) -> None:
        """Take in what was read; on the event loop, before each slice of decisions."""
        self._view.update(self._states.snapshot())
        self.tenants.take_in()
        self._learning.before_slice()

    def _weigh_by(self, settings: Settings) -> None:
        """Other `[lanes]` and `[lengths]` are in force; on the event loop."""
        given = settings.lanes
        rules = replace(
            self._rules, thresholds=settings.lane_plan(), output_factor=given.output_factor
        )
        self._learning.use(settings, rules)
        self._weigher.use(rules, self._learning.lengths, self._learning.thresholds)
        self.decider.keep_apart(self._shards if given.shuffle_sharding else None)
        self._show_bounds(rules)

    def _show_bounds(self, rules: Rules) -> None:
        if self._learning.thresholds is None:
            show_bounds(
                self._metrics, Bounds(rules.thresholds.light_max, rules.thresholds.heavy_min)
            )

    def close(self) -> None:
        """Stop reading; may take some seconds."""
        self._watch.close()
        self._states.close()
        self._cancels.close()
        self._learning.close()
        self.tenants.close()
