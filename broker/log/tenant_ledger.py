"""Reading the tenants' ledger: the totals first, then line by line from where those end.

And writing the few lines that belong to no prompt's transaction. Reading is read-committed, and
what was read waits in a bounded queue.
"""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import Producer

from broker.log.clients import consumer_config, producer_config
from broker.log.topic_follower import Back, TopicFollower
from broker.log.topic_names import TopicNames
from broker.records.tenant_parts import Lent, Owner, Wanted
from broker.records.tenants import (
    EVERYONE,
    Line,
    Totals,
    decode_line,
    decode_totals,
    encode_line,
)
from broker.settings import Settings

_WRITING: Final = {"message.timeout.ms": 2_000, "linger.ms": 0}
"""A line that comes much later than it was written says what is not true any more."""

Entered = tuple[int, Line]
"""A line of the ledger with its offset."""
Read = Totals | Entered


class TenantLedger:
    """Follows the ledger; every method but `start` is quick, and for any thread.

    `on_read` is called on a thread of this when there is something to take.
    """

    def __init__(self, settings: Settings, on_read: Callable[[], object]) -> None:
        names = TopicNames(settings.kafka.prefix)
        self._topic = names.tenants
        self._settings = settings
        self._client = consumer_config(settings)
        self._on_read = on_read
        self._newest: dict[str, Totals] = {}
        self._totals: deque[Totals] = deque()
        self._first: TopicFollower[None] = TopicFollower(
            self._client,
            names.tenant_totals,
            self._keep,
            committed_only=True,
            at_once=True,
            each_turn=self._go_on,
        )
        self._lines: TopicFollower[Entered] | None = None
        self._producer: Any = None
        self._closed = False

    @property
    def runs(self) -> bool:
        """Whether it was started."""
        return self._producer is not None

    def start(self) -> None:
        """Begin, from the totals."""
        self._producer = Producer(producer_config(self._settings, **_WRITING))
        self._first.start()

    def say(self, line: Owner | Lent | Wanted) -> None:
        """Write a line of no prompt; nobody waits for it, and what fails is not written later.

        Of one thread.
        """
        if self._producer is not None:
            with suppress(BufferError):
                self._producer.produce(self._topic, encode_line(line), partition=0)
            self._producer.poll(0)

    def take(self, most: int) -> list[Read]:
        """Up to `most` of what was read, in order; it is the caller's now."""
        lines = self._lines  # looked at first: once it is there, so are all totals
        totals = self._totals
        taken: list[Read] = [totals.popleft() for _ in range(min(most, len(totals)))]
        if lines is not None:
            taken += lines.take(most - len(taken))
        return taken

    def close(self) -> None:
        """Stop reading; may take some seconds."""
        self._closed = True
        self._first.close()
        if self._lines is not None:
            self._lines.close()

    def _keep(self, message: Any) -> None:
        if message.value() is not None:
            totals = decode_totals(message.value())
            self._newest[totals.tenant] = totals

    def _go_on(self) -> None:
        """On the thread that reads the totals: once all are read, leave it to the lines' own."""
        if self._closed or not self._first.caught_up:
            return
        covered = self._newest.pop(EVERYONE, None)
        self._totals.extend(self._newest.values())
        self._lines = TopicFollower(
            self._client,
            self._topic,
            lambda message: (message.offset(), decode_line(message.value())),
            back=Back(offset=None if covered is None else covered.offset),
            committed_only=True,
            at_once=True,
            each_turn=self._tell,
        )
        self._lines.start()
        self._first.leave()

    def _tell(self) -> None:
        if self._totals or (self._lines is not None and self._lines.waiting):
            self._on_read()
