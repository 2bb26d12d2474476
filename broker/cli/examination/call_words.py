"""Words for how a call of a provider ended: why it failed, what mends it, what limits are left."""

from collections.abc import Iterable
from typing import Final

from broker.cli.examination.finding import Level
from broker.cli.output import harmless, milliseconds
from broker.core.retries import Transport
from broker.settings.secrets import MASK
from workers.calling import CallResult
from workers.providers.dialect import LimitsSeen

_UNAUTHORIZED: Final = 401
_TOO_MANY: Final = 429
_SERVER_ERRORS: Final = 500
_BY_STATUS: Final = {
    401: "Check {place}.api_key, or whom {place}.auth signs in as; the provider refused it.",
    402: "Check the credit of the account.",
    403: "Check what the account may do: the model, the project, the network it calls from.",
    404: "Check {place}.base_url and the names in {place}.models.",
    429: "Ask again later; if it stays so, check the account's quota and credit.",
}
_BY_TRANSPORT: Final = {
    Transport.CONNECT: "Check {place}.base_url, the network, and a firewall or proxy.",
    Transport.MALFORMED: "Check {place}.dialect and base_url: what answers there speaks otherwise.",
}
_OTHERWISE: Final = "Check {place}.dialect and the names in {place}.models."
_THEIRS: Final = "The provider has trouble; look at its status page, and ask again later."


def failure_of(
    result: CallResult, name: str, served: str, secrets: Iterable[str]
) -> tuple[str, str, Level]:
    """The text, what mends it, and how bad it is, of a call that brought no answer.

    `secrets` are masked where the provider quotes them.
    """
    took = milliseconds(result.seconds * 1000)
    mend = _mend(result).format(place=f"providers.{name}")
    if result.transport is not None:
        return f"{served}: {result.message} ({result.code} after {took})", mend, "problem"
    word = result.code or result.kind
    text = f"{served}: HTTP {result.status} {word} after {took}."
    if result.status != _UNAUTHORIZED:
        # There, providers quote parts of the key.
        said = result.message
        for secret in secrets:
            said = said.replace(secret, MASK)
        text = f"{text} It says: {harmless(said)}"
    return text, mend, "warning" if result.status == _TOO_MANY else "problem"


def _mend(result: CallResult) -> str:
    if result.transport is not None:
        return _BY_TRANSPORT.get(result.transport, _THEIRS)
    status = result.status or 0
    return _BY_STATUS.get(status, _THEIRS if status >= _SERVER_ERRORS else _OTHERWISE)


def limits_left(limits: LimitsSeen | None) -> str:
    """What the reply told of the limits per minute; empty when nothing."""
    if limits is None:
        return ""
    kinds = (
        ("requests", limits.requests_left, limits.requests_limit),
        ("tokens", limits.tokens_left, limits.tokens_limit),
    )
    told = []
    for kind, left, most in kinds:
        if left is not None:
            told.append(f"{left:,} {kind} left" + (f" of {most:,}" if most is not None else ""))
        elif most is not None:
            told.append(f"{most:,} {kind} a minute")
    return ", ".join(told)
