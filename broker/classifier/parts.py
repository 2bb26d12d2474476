"""What a classifier decides with: the parts put together, and what of them runs beside it."""

import time

from broker.classifier.decide import Decider
from broker.classifier.router import Router
from broker.classifier.rules import Rules
from broker.classifier.tokens import CountTokens
from broker.classifier.weighing import Weigher
from broker.core.provider_view import ProviderView
from broker.core.sharding import TenantShards
from broker.log.cancel_reader import CancelReader
from broker.log.provider_states import ProviderStatesReader
from broker.settings import Settings


class Parts:
    """The decider of one classifier, and the readers that it learns from."""

    def __init__(self, settings: Settings, rules: Rules, count_tokens: CountTokens) -> None:
        self._states = ProviderStatesReader(settings)
        self._view = ProviderView(time.time())
        self._cancels = CancelReader(settings)
        self.decider = Decider(
            rules,
            Weigher(rules, count_tokens),
            Router(rules, self._view),
            shards=TenantShards(time.time()) if settings.lanes.shuffle_sharding else None,
            cancels=self._cancels.cancels,
        )

    def start(self) -> None:
        """Begin to read what others say."""
        self._states.start()
        self._cancels.start()

    def wait_ready(self) -> None:
        """Wait, some seconds at most, for what the first decision should know already.

        That is what was cancelled while no classifier ran. For another thread than the loop's.
        """
        self._cancels.wait_caught_up()

    def before_slice(self) -> None:
        """Take in what was read; on the event loop, before each slice of decisions."""
        self._view.update(self._states.snapshot())

    def close(self) -> None:
        """Stop reading; may take some seconds."""
        self._states.close()
        self._cancels.close()
