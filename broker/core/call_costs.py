"""What one call cost, by how it ended: as its provider counted it, estimated, or not known.

- An answer costs what its usage says; what the usage leaves out is counted here, so estimated.
- A call that failed costs what it was told to have used, or, where its stream was cut before any
  usage, the counted input and the tokens that had come. Both are estimates: the provider may have
  gone on.
- An error reply and a connection that was never made cost nothing. A prompt that a filter stopped
  may be billed for its input (some providers say so), so that is estimated.
- Of the rest (silence, a whole answer that was cut) nobody here knows.
"""

from dataclasses import replace
from typing import Final, NamedTuple

from broker.core.prices import FREE, NOT_KNOWN, NOTHING, Cost, Prices
from broker.core.retries import Transport
from broker.records.usage import Usage

_FILTERED: Final = frozenset({"content_filter", "ResponsibleAIPolicyViolation"})
_REQUEST_TIMEOUT: Final = 408
"""The provider may have worked on it until then."""
_ERRORS_FROM: Final = 300
_NOTHING_USED: Final = Usage()


class EndedCall(NamedTuple):
    """How a call ended. `counted_input` is our own count of its prompt's tokens.

    `received_tokens` are those of the answer that came, about; they count where the usage does not
    say. `sent` is False for a call that was given up before anything went out.
    """

    usage: Usage
    counted_input: int
    received_tokens: int = 0
    answered: bool = False
    sent: bool = True
    status: int | None = None
    code: str | None = None
    transport: Transport | None = None


class Spent(NamedTuple):
    """A call's cost, and the usage it was made of."""

    cost: Cost
    usage: Usage


def spent_by(call: EndedCall, prices: Prices) -> Spent:
    """What a call cost at these prices."""
    if not call.sent:
        return Spent(NOTHING, _NOTHING_USED)
    told = call.usage.input_tokens is not None or call.usage.output_tokens is not None
    if call.answered or told or call.received_tokens:
        usage, guessed = _completed(call)
        usd = prices.cost(usage)
        if usd is None:
            return Spent(NOT_KNOWN, usage)
        return Spent(Cost(usd, (guessed or not call.answered) and usd > 0), usage)
    if call.code in _FILTERED:
        usage = Usage(call.counted_input, 0)
        usd = prices.cost(usage)
        return Spent(NOT_KNOWN if usd is None else Cost(usd, usd > 0), usage)
    return Spent(NOTHING if prices == FREE or _was_free(call) else NOT_KNOWN, call.usage)


def _completed(call: EndedCall) -> tuple[Usage, bool]:
    """The usage with what it leaves out, and whether anything was left out."""
    usage = call.usage
    guessed = usage.input_tokens is None
    if guessed:
        usage = replace(usage, input_tokens=call.counted_input)
    # A stream's first usage may count the prompt only.
    if not usage.output_tokens and call.received_tokens:
        return replace(usage, output_tokens=call.received_tokens), True
    return usage, guessed


def _was_free(call: EndedCall) -> bool:
    if call.transport is not None:
        return call.transport is Transport.CONNECT
    return (
        call.status is not None and call.status >= _ERRORS_FROM and call.status != _REQUEST_TIMEOUT
    )
