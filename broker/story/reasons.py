"""How often each code of the closed lists was the reason. Pure; fed by `audit`."""

from collections import Counter, defaultdict
from typing import Any, Final

from broker.core.route_reasons import Loss, NoReason, Reason
from broker.records.not_routed import BUDGET_EXHAUSTED, RATE_LIMITED
from broker.story.lines import Candidate, NotRoutedLine, Step

_CHOSEN: Final = frozenset(map(str, Reason))
_NOBODY: Final = frozenset((*map(str, NoReason), RATE_LIMITED, BUDGET_EXHAUSTED))
_LOST: Final = frozenset(map(str, Loss))


class Reasons:
    """The counts of an audit."""

    def __init__(self) -> None:
        self._chosen: Counter[str] = Counter()
        self._nobody: Counter[str] = Counter()
        self._lost: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def chosen(self, route: list[Step]) -> None:
        """A choice: the last step of a route."""
        step = route[-1] if route else _NO_STEP
        self._chosen[_known(step.code, _CHOSEN)] += 1
        self._count(step.candidates)

    def nobody(self, why: NotRoutedLine) -> None:
        """A prompt that nobody could take, or that its tenant's limits kept out."""
        self._nobody[_known(why.code, _NOBODY)] += 1
        self._count(why.candidates)

    def _count(self, candidates: list[Candidate]) -> None:
        for one in candidates:
            if one.lost:
                self._lost[one.provider][_known(one.lost, _LOST)] += 1

    def as_json(self) -> dict[str, Any]:
        """The part of the contract's JSON object that is about reasons."""
        return {
            "choices": dict(self._chosen.most_common()),
            "not_routed": dict(self._nobody.most_common()),
            "losses": {name: dict(one.most_common()) for name, one in sorted(self._lost.items())},
        }


_NO_STEP: Final = Step("")


def _known(code: str, codes: frozenset[str]) -> str:
    """A code of another program's records, or of none, is no word of the closed list."""
    return code if code in codes else "unknown"
