"""The tenants' limits in one classifier process: the door, the ledger, the totals, new settings."""

import time
from collections.abc import Callable, Iterable
from typing import Final

from broker.classifier.tenant_books import TenantBooks
from broker.classifier.tenant_costs import expected_costs
from broker.classifier.tenant_door import TenantDoor
from broker.classifier.tenant_rounds import TotalsRounds
from broker.log.clients import admin_config
from broker.log.tenant_ledger import TenantLedger
from broker.log.tenant_totals import TotalsWriter
from broker.log.topic_names import TopicNames
from broker.log.topic_shapes import read_shapes
from broker.records.tenants import Totals
from broker.settings import Settings
from broker.telemetry.logs import get_logger

PATIENCE_S: Final = 15.0
"""How long partitions wait for the ledger after an assignment, before they go on without."""
CLAIM_S: Final = 3.0
_BATCH: Final = 5_000

OnLoop = Callable[..., object]
"""Calls a function with arguments on the event loop, from any thread."""


class TenantKeeping:
    """Made and used inside the event loop, but for what says otherwise.

    Nothing of it runs while no tenant has a limit.
    """

    def __init__(self, settings: Settings, partitions: int, on_loop: OnLoop) -> None:
        self._log = get_logger(room="classifier")
        self._on_loop = on_loop
        self.books = TenantBooks(partitions, settings.tenant_terms())
        costs = expected_costs(settings, self._unpriced)
        self.door = TenantDoor(TopicNames(settings.kafka.prefix).tenants, self.books, costs)
        self._ledger = TenantLedger(settings, lambda: on_loop(self.take_in))
        self.rounds = TotalsRounds(self.books, TotalsWriter(settings), time.time())
        self._waiting: list[Callable[[], None]] = []
        self._gives_up_at = self._claims_at = 0.0
        self._first = False

    def start(self) -> None:
        """Begin to read the ledger, if anyone has a limit."""
        if self.books.terms.any_limits and not self._ledger.runs:
            self._ledger.start()
            self._claim()

    def changed(self, settings: Settings) -> None:
        """New settings are in force; for another thread than the loop's.

        Raises WeighbridgeError when they cannot be.
        """
        terms = settings.tenant_terms()
        if terms.any_limits and not self._ledger.runs:
            names = TopicNames(settings.kafka.prefix)
            read_shapes(admin_config(settings), [names.tenants, names.tenant_totals])

        def take() -> None:
            self.books.terms = terms
            self.start()

        self._on_loop(take)

    def assigned(self, partitions: Iterable[int]) -> None:
        """A rebalance is over: these partitions are ours."""
        owned = frozenset(partitions)
        self.books.owns(owned)
        self._first = 0 in owned
        self._waiting.clear()
        self._gives_up_at = time.monotonic() + PATIENCE_S
        self._claim()

    def when_read(self, act: Callable[[], None]) -> None:
        """Do it as soon as all is read that could come of our partitions before they were ours."""
        if not self._ledger.runs or self.books.settled:
            act()
        else:
            self._waiting.append(act)

    def take_in(self) -> None:
        """Take what was read of the ledger."""
        books = self.books
        while True:
            found = self._ledger.take(_BATCH)
            for one in found:
                if isinstance(one, Totals):
                    books.restore(one)
                else:
                    books.read(*one)
            if len(found) < _BATCH:
                break
        for line in books.answer(time.time()):
            self._ledger.say(line)
        if self._waiting and books.settled:
            self._go_on()

    def beat(self, now: float) -> None:
        """To be called about twice a second."""
        if not self._ledger.runs:
            return
        self.take_in()
        if not self.books.settled and time.monotonic() >= self._claims_at:
            self._claim()
        for line in self.books.lend(now):
            self._ledger.say(line)
        if self._waiting and time.monotonic() > self._gives_up_at:
            self._log.warning(
                "ledger_not_read",
                after_s=PATIENCE_S,
                then="limits of tenants are judged by what is known, and may be passed",
            )
            self._go_on()
        self.books.sweep(now)
        if self._first and self.books.settled:
            self.rounds.beat(now)

    def close(self) -> None:
        """Stop reading; may take some seconds. For any thread."""
        self._ledger.close()

    def _claim(self) -> None:
        """Say which partitions are ours, again while it is not read back."""
        if self._ledger.runs:
            self._claims_at = time.monotonic() + CLAIM_S
            self._ledger.say(self.books.claim)

    def _go_on(self) -> None:
        waiting, self._waiting = self._waiting, []
        for act in waiting:
            act()

    def _unpriced(self, model: str) -> None:
        self._log.warning(
            "tenant_cost_unknown",
            model=model,
            then="its prompts count no dollars for their tenants' limits",
            mend="Give it prices, or priced_as; see `weighbridge config check`.",
        )
