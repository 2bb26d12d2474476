"""Azure's own way to OpenAI's dialect: paths, key, errors, filters, spillover and limits.

Two forms: `/openai/v1/...`, where `model` is the deployment's name, and with `api_version` the
older `/openai/deployments/{deployment}/...?api-version=`. The base URL is the resource's root; what
its owner copied with `/openai/v1` at its end is understood too.

Sources: `openai.lib.azure` of the SDK; Microsoft's pages on content filtering (its errors and
annotations), on spillover, and on quota (limits are of a renewal period, 10 or 60 seconds).
"""

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson

from broker.core.retries import Action, RetryTable, Verdict
from broker.settings.providers import ProviderSettings, ServedModel
from workers.providers.dialect import ErrorReply, LimitsSeen, Reply
from workers.providers.openai import PATHS, OpenAI
from workers.providers.openai_errors import OPENAI
from workers.providers.rate_headers import limits_of, per_minute

_MOVE: Final = Verdict(Action.MOVE)
_RATE: Final = Verdict(Action.RETRY, in_place=3)

AZURE: Final[RetryTable] = OPENAI.with_rows(
    by_code={
        # The deployment is missing here, or cannot do this; the resource's others may be fine.
        "DeploymentNotFound": _MOVE,
        "OperationNotSupported": _MOVE,
        "unsupported_operation": _MOVE,
        # Provisioned or shared capacity is used up; it passes.
        "NoCapacity": _RATE,
        "TooManyRequests": _RATE,
        "RateLimitReached": _RATE,
        "ResponsibleAIPolicyViolation": Verdict(Action.REFUSED),
    }
)

_V1: Final = "/openai/v1"
_NOTES: Final[Mapping[str, str]] = {
    "x-ms-deployment-name": "deployment",
    "x-ms-spillover-from-deployment": "spillover_from",
}
_MOST_NAMED: Final = 8


class Azure(OpenAI):
    """The adapter."""

    retries: RetryTable = AZURE
    root: str = ""

    def __init__(self, provider: ProviderSettings) -> None:
        super().__init__(provider)
        base = (provider.base_url or "").rstrip("/")
        self._version = provider.api_version
        if provider.api_version is not None:
            self._prefix = "" if base.endswith("/openai") else "/openai"
        else:
            self._prefix = "" if base.endswith(_V1) else _V1
        spills = provider.spillover_deployment
        self._headers = {
            "Content-Type": "application/json",
            **({} if spills is None else {"x-ms-spillover-deployment": spills}),
        }

    def key_header(self, key: str) -> tuple[str, str]:
        """In a header of its own; only tokens of Entra are bearer's."""
        return "api-key", key

    def path(self, form: str, served: ServedModel) -> str:
        """The deployment stands in the body, or in the older form in the path."""
        if self._version is None:
            return self._prefix + PATHS[form]
        named = "" if form == "responses" else f"/deployments/{quote(served.name, safe='')}"
        return f"{self._prefix}{named}{PATHS[form]}?api-version={quote(self._version, safe='')}"

    def error(self, reply: Reply) -> ErrorReply:
        """A filtered prompt is named `content_filter` in all of its forms, with its categories."""
        error = super().error(reply)
        inner = _inner_error(reply.body) if reply.status == 400 else None  # noqa: PLR2004 - the filter's
        if inner is not None:
            error.code = "content_filter"
            named = ", ".join(_filtered(inner))
            if named:
                error.message = f"{error.message} Filtered: {named}."
        return error

    def limits(self, headers: Mapping[str, str]) -> LimitsSeen | None:
        """As `x-ratelimit-*` says, over the renewal period that it names."""
        seen = limits_of(headers)
        return None if seen is None else per_minute(seen, headers)

    def notes(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Which deployment answered, and from which it spilled over."""
        return {note: headers[name] for name, note in _NOTES.items() if name in headers}


_POLICY: Final = "ResponsibleAIPolicyViolation"
_JUDGED: Final = frozenset({"content_filter", "contentFilter", _POLICY})
"""The codes of a blocked prompt: of chats, of pictures, and the inner one of both."""


def _inner_error(body: bytes) -> Mapping[str, Any] | None:
    """What the filter says more of a prompt that it blocked; None for any other error."""
    try:
        error = orjson.loads(body)["error"]
        inner = error.get("innererror") or error.get("inner_error")
        inner = inner if isinstance(inner, dict) else {}
        judged = not _JUDGED.isdisjoint((error.get("code"), inner.get("code")))
    except (AttributeError, KeyError, TypeError, ValueError):
        return None
    return inner if judged else None


def _filtered(inner: Mapping[str, Any]) -> list[str]:
    """The categories that blocked it, such as `violence (medium)`."""
    results = inner.get("content_filter_result") or inner.get("content_filter_results")
    named = []
    for name, result in list(results.items())[:64] if isinstance(results, dict) else ():
        if isinstance(result, dict) and result.get("filtered") is True:
            severity = result.get("severity")
            more = f" ({severity[:20]})" if isinstance(severity, str) else ""
            named.append(f"{name[:40]}{more}")
    return named[:_MOST_NAMED]
