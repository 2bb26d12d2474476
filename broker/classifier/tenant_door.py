"""The door: a tenant's limits, asked for each prompt before it is routed. Pure: no I/O, no clock.

Over a limit of a minute a prompt is let in for later, or refused when that is too late; over a
budget of a day or a month it is refused. It is charged what it is expected to use; where little is
left of a budget, what it may use at the most. A tenant without limits costs one look into a table.
"""

from dataclasses import replace
from math import ceil, floor
from typing import Final

from broker.classifier.door import Admitted
from broker.classifier.tenant_books import TenantBooks
from broker.classifier.tenant_costs import ExpectedCosts
from broker.classifier.turned_away import kept_out
from broker.classifier.weighing import Weighed
from broker.core.tenant_limits import Refused, TenantLimits
from broker.core.weighing import answers_asked, own_maximum
from broker.log.units import Output
from broker.records.completion import Failure
from broker.records.prompt import Prompt
from broker.records.tenants import Charged, Entry, encode_entry

_FREELY: Final = Admitted()
_TIMES: Final = 2
"""An answer is seldom longer than so many times what is expected: 0.4% of the conversations' of the
Azure trace of 2023 are, and 13% of the code's, where answers are a hundredth of the whole."""


class TenantDoor:
    """The door of one classifier; `topic` is the ledger's."""

    def __init__(self, topic: str, books: TenantBooks, costs: ExpectedCosts) -> None:
        self._topic = topic
        self._books = books
        self.costs = costs

    def admit(self, prompt: Prompt, weighed: Weighed, now: float) -> Admitted | Failure:
        """Let a prompt in, or say why it ends here; nothing is counted yet."""
        terms = self._books.terms
        limits = terms.limits.get(prompt.tenant, terms.otherwise)
        if limits is None:
            return _FREELY
        latest = now + limits.max_wait_s
        if prompt.deadline is not None:
            latest = min(latest, prompt.deadline)
        tokens, usd = self._cost(prompt, weighed, limits)
        found: tuple[float, int] | Refused | None = None
        if self._books.nears_end(prompt.tenant, limits, now):
            most = self._cost(
                prompt, replace(weighed, output_tokens=_most(prompt, weighed)), limits
            )
            found = self._books.admit(prompt.tenant, limits, (1.0, *most), now, latest)
            if isinstance(found, Refused) and found.retry_at is None:
                found = None  # only what it is expected to use says whether it ever may
            else:
                tokens, usd = most
        if found is None:
            found = self._books.admit(prompt.tenant, limits, (1.0, tokens, usd), now, latest)
        if isinstance(found, Refused):
            return kept_out(found, weighed, latest, self._books.share)
        begins, partition = found
        waits = begins > now
        # As the records say it, and what begins now is not put off by that.
        at = (ceil if waits else floor)(begins * 1000) / 1000
        charged = Charged(partition, at, tokens, usd)
        entry = Entry(
            prompt.tenant,
            "charge",
            charged.partition,
            at,
            1.0,
            tokens,
            usd,
            prompt.id,
            (prompt.source.partition, prompt.source.offset),
        )
        output = Output(self._topic, 0, prompt.tenant.encode(), encode_entry(entry))
        return Admitted(at if waits else None, (output,), charged)

    def _cost(self, prompt: Prompt, weighed: Weighed, limits: TenantLimits) -> tuple[int, float]:
        """Tokens and dollars."""
        tokens = weighed.input_tokens + weighed.output_tokens
        # Where dollars have no limit the correction at the end is enough for the sums.
        return tokens, self.costs.of(prompt, weighed) if limits.of_dollars else 0.0

    def routed(self, prompt: Prompt, weighed: Weighed, admitted: Admitted, now: float) -> None:
        """It was routed: count it."""
        del weighed, now
        charged = admitted.charged
        if charged is None:
            return
        source = prompt.source
        amounts = (1.0, charged.tokens, charged.usd)
        place = (source.partition, source.offset)
        self._books.charge(place, prompt.tenant, charged.partition, charged.at, amounts)


def _most(prompt: Prompt, weighed: Weighed) -> int:
    """The output that it will hardly pass; that of its own maximum it cannot."""
    own = own_maximum(prompt.fields)
    most = _TIMES * weighed.output_tokens
    return most if own is None else min(most, own * answers_asked(prompt.fields))
