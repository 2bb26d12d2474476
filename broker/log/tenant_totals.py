"""Writing the totals of the tenants' ledger, so that a start need not read all of it."""

from collections.abc import Iterable
from typing import Any, Final

from confluent_kafka import Producer

from broker.log.clients import producer_config
from broker.log.topic_names import TopicNames
from broker.records.tenants import EVERYONE, Totals, encode_totals
from broker.settings import Settings
from broker.telemetry.logs import get_logger

_FLUSH_S: Final = 10.0


class TotalsWriter:
    """Writes to the compacted topic. For one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = TopicNames(settings.kafka.prefix).tenant_totals
        self._producer: Any = None
        self._failed = 0

    def write(self, totals: Iterable[Totals], covered: Totals | None) -> bool:
        """Write them, then how far all that was ever written covers the ledger.

        The second only when all of the first is there. False when something could not be written;
        that is no harm, for the next start reads more of the ledger.
        """
        if self._producer is None:
            self._producer = Producer(producer_config(self._settings))
        self._failed = 0
        for one in totals:
            self._put(one)
        if self._done() and covered is not None:
            self._put(Totals(EVERYONE, covered.offset, covered.at))
            return self._done()
        return not self._failed

    def _put(self, totals: Totals) -> None:
        try:
            self._producer.produce(
                self._topic, encode_totals(totals), totals.key, 0, on_delivery=self._delivered
            )
        except BufferError:
            self._producer.poll(1.0)
            self._failed += 1

    def _done(self) -> bool:
        self._failed += self._producer.flush(_FLUSH_S)
        if self._failed:
            get_logger(topic=self._topic).warning("totals_not_written", records=self._failed)
        return not self._failed

    def _delivered(self, error: Any, _message: object) -> None:
        if error is not None:
            self._failed += 1
