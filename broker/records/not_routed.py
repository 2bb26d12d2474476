"""Why a prompt was not routed, or not routed on, as the completion that ends it carries it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

RATE_LIMITED: Final = "rate_limited"
BUDGET_EXHAUSTED: Final = "budget_exhausted"


@dataclass(frozen=True, slots=True)
class NotRouted:
    """The decision that ended a prompt.

    `code` is a word of `broker.core.route_reasons.NoReason`, or `RATE_LIMITED` or
    `BUDGET_EXHAUSTED` where the tenant's limits kept it out; `reason` says it in words.
    `candidates` has what was known of each provider, as in `RouteStep`. `limit` is the limit that
    was reached: `period`, `dimension`, `limit`, `used` and `asked` (requests, tokens or dollars),
    `latest` until when it could have waited (RFC 3339, for a limit of a minute), and `share`, the
    classifier's part, where there are several. `expected_output_tokens` and `expected_by` say what
    the weight was made of, where no work record does. Both mappings hold JSON values only.
    """

    code: str
    reason: str
    candidates: tuple[Mapping[str, Any], ...] = ()
    limit: Mapping[str, Any] | None = None
    expected_output_tokens: int | None = None
    expected_by: str = ""

    def as_json(self) -> dict[str, Any]:
        """As it stands in a completion's `error`."""
        value: dict[str, Any] = {"code": self.code, "reason": self.reason}
        if self.expected_output_tokens is not None:
            value["expected_output_tokens"] = self.expected_output_tokens
        if self.expected_by:
            value["expected_by"] = self.expected_by
        if self.limit is not None:
            value["limit"] = self.limit
        if self.candidates:
            value["candidates"] = self.candidates
        return value


def not_routed_of(data: Mapping[str, Any]) -> NotRouted:
    """Read it; raises KeyError, TypeError or ValueError when it is none."""
    expected, limit = data.get("expected_output_tokens"), data.get("limit")
    sound = (
        isinstance(expected, int | None)
        and isinstance(limit, dict | None)
        and all(isinstance(data.get(name, ""), str) for name in ("code", "reason", "expected_by"))
        and all(isinstance(one, dict) for one in data.get("candidates", ()))
    )
    if not sound:
        raise TypeError("a field has another type than the contract says")
    return NotRouted(
        data["code"],
        data["reason"],
        tuple(data.get("candidates", ())),
        limit,
        expected,
        data.get("expected_by", ""),
    )
