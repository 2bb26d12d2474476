"""Rules that expect an answer's length from what came before: the learned and three plain. Pure.

No figure in them was taken from the traces on which they are compared.
"""

from collections.abc import Callable
from typing import Final

from broker.core.output_length import Answered, OutputLengths
from broker.load.traces import TraceRequest
from broker.settings.lengths import LengthSettings

FIRST_S: Final = 0.3
PER_TOKEN_S: Final = 0.02
"""An answer is known so long after its prompt came: the traces do not say when it ended."""
PRIOR: Final = 256
"""What to expect of the first answers; our own prior was made of one of these traces."""
_MODEL: Final = "chat-small"


def ended_at(request: TraceRequest) -> float:
    """When its answer is known, in seconds of the trace."""
    return request.at_s + FIRST_S + PER_TOKEN_S * request.output_tokens


class Rule:
    """Says how many output tokens to expect, from what came before."""

    def expected(self, request: TraceRequest) -> float:
        """Of a request that comes now."""
        raise NotImplementedError

    def learn(self, request: TraceRequest) -> None:
        """Its answer has ended."""
        raise NotImplementedError


class Learned(Rule):
    """Ours, with the settings' defaults; each source is a tenant of the same model."""

    def __init__(self) -> None:
        given = LengthSettings()
        self._lengths = OutputLengths(given.quantile, given.half_life_s, given.most_tenants)

    def expected(self, request: TraceRequest) -> float:
        """The quantile."""
        series = (self.tenant(request), _MODEL, "chat")
        return self._lengths.expected(
            series, request.input_tokens, None, PRIOR, request.at_s
        ).tokens

    def learn(self, request: TraceRequest) -> None:
        """As the journal tells it."""
        self._lengths.learn(
            Answered(
                self.tenant(request),
                _MODEL,
                "chat",
                request.input_tokens,
                request.output_tokens,
                ended_at(request),
            )
        )

    def tenant(self, request: TraceRequest) -> str:
        """Whose it is."""
        return request.source


class NoTenants(Learned):
    """The same by the input's length alone: what knowing the tenant is worth."""

    def tenant(self, request: TraceRequest) -> str:
        """Everybody's."""
        del request
        return "everybody"


class Maximum(Rule):
    """The longest answer so far, as a request's own maximum is for most of them."""

    def __init__(self) -> None:
        self._most = PRIOR

    def expected(self, request: TraceRequest) -> float:
        """The same for all."""
        del request
        return self._most

    def learn(self, request: TraceRequest) -> None:
        """It may be longer."""
        self._most = max(self._most, request.output_tokens)


class Mean(Rule):
    """The mean of all answers so far."""

    def __init__(self) -> None:
        self.count = 1
        self.output = float(PRIOR)

    def expected(self, request: TraceRequest) -> float:
        """The same for all."""
        del request
        return self.output / self.count

    def learn(self, request: TraceRequest) -> None:
        """One more."""
        self.count += 1
        self.output += request.output_tokens


class InputAlone(Mean):
    """Answers in proportion to the input."""

    def __init__(self) -> None:
        super().__init__()
        self._input = float(PRIOR)

    def expected(self, request: TraceRequest) -> float:
        """So many times the input as all answers together were."""
        return request.input_tokens * self.output / self._input

    def learn(self, request: TraceRequest) -> None:
        """One more."""
        super().learn(request)
        self._input += request.input_tokens


RULES: Final[dict[str, Callable[[], Rule]]] = {
    "learned": Learned,
    "no tenants": NoTenants,
    "maximum": Maximum,
    "mean": Mean,
    "input alone": InputAlone,
}
