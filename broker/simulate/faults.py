"""How a call ends by what a provider makes of it: answered, or with a fault of the simulator's."""

from collections.abc import Callable, Mapping
from typing import Final

from broker.core.retries import Transport
from broker.records.usage import Usage
from broker.settings.providers import ProviderSettings
from broker.settings.simulated import FaultSettings
from broker.simulate.asked import Asked
from broker.simulate.served import Served
from workers.calling import CallResult
from workers.providers.dialect import Answer
from workers.simulator.faults import Fault

_BYTES_PER_TOKEN: Final = 4
_PIECE_BYTES: Final = 8
"""Of an answer that comes slowly."""

_SOME: Final = Answer(None, {}, Usage(), "stop")
_FILTERED: Final = Answer(None, {}, Usage(), "content_filter", refusal="answer_filtered")
_OK: Final = 200


def answered(asked: Asked, served: Served, more_s: float) -> CallResult:
    """A whole answer, `more_s` later than its provider alone makes it."""
    streamed, tokens = asked.prompt.stream, served.output_tokens
    each = None
    if streamed and tokens > 1:
        each = (served.whole_s - served.first_s) / (tokens - 1)
    return CallResult(
        served.whole_s + more_s,
        first_token_s=(served.first_s if streamed else served.whole_s) + more_s,
        answer=_SOME,
        status=_OK,
        per_token_s=each,
        usage=Usage(asked.input_tokens, tokens),
    )


def end_of(
    fault: Fault | None, served: Served, given: ProviderSettings, settings: FaultSettings
) -> CallResult:
    """How a call ends that meets this fault, without its wait for a place."""
    if fault is None:
        raise ValueError("a call without a fault is answered")
    return _ENDS[fault](served, given, settings)


_End = Callable[[Served, ProviderSettings, FaultSettings], CallResult]


def _status(status: int, code: str | None = None) -> _End:
    return lambda _served, _given, _settings: CallResult(0.0, status=status, code=code)


def _cut(served: Served, transport: Transport) -> CallResult:
    """In the middle of the answer: what came until then is known of."""
    share = served.place
    seconds = served.first_s + share * (served.whole_s - served.first_s)
    return CallResult(
        seconds, transport=transport, received_tokens=int(share * served.output_tokens)
    )


def _slow(served: Served, settings: FaultSettings) -> CallResult:
    pieces = max(1, served.output_tokens * _BYTES_PER_TOKEN // _PIECE_BYTES)
    return CallResult(
        served.whole_s + pieces * settings.slow_gap_s,
        first_token_s=served.whole_s,
        answer=_SOME,
        status=_OK,
        usage=Usage(None, served.output_tokens),
    )


_FOR_EVER: Final = 1e9
_ENDS: Final[Mapping[Fault, _End]] = {
    Fault.RATE_LIMITED: lambda _, __, settings: CallResult(
        0.0, status=429, code="rate_limit_exceeded", retry_after_s=settings.retry_after_s
    ),
    Fault.SERVER_ERRORS: lambda _, __, settings: CallResult(
        0.0, status=settings.server_error_status
    ),
    Fault.HANGS: lambda *_: CallResult(_FOR_EVER),
    Fault.CUTS: lambda served, *_: CallResult(served.first_s, transport=Transport.CUT),
    Fault.CUT_STREAMS: lambda served, *_: _cut(served, Transport.STREAM_CUT),
    Fault.SLOW: lambda served, _, settings: _slow(served, settings),
    Fault.MALFORMED: lambda served, *_: CallResult(served.whole_s, transport=Transport.MALFORMED),
    Fault.STREAM_ERRORS: lambda served, *_: CallResult(served.whole_s, status=500),
    Fault.REFUSED: _status(400, "content_filter"),
    Fault.FILTERED: lambda served, *_: CallResult(served.whole_s, answer=_FILTERED, status=_OK),
    Fault.TOO_LONG: _status(400, "context_length_exceeded"),
    Fault.SPENT: _status(429, "insufficient_quota"),
    Fault.OUTAGE: _status(503),
    Fault.OUTAGE_CUT: lambda *_: CallResult(0.0, transport=Transport.CUT),
    Fault.OUTAGE_HANG: lambda *_: CallResult(_FOR_EVER),
}
