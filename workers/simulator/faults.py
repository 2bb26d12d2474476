"""Which fault a call meets. Pure: the time and the chance come in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from broker.records.times import to_rfc3339
from broker.settings.simulated import FaultSettings, OutageSettings


class Fault(StrEnum):
    """What goes wrong, named as the rates of the settings are."""

    RATE_LIMITED = "rate_limited"
    SERVER_ERRORS = "server_errors"
    HANGS = "hangs"
    CUTS = "cuts"
    CUT_STREAMS = "cut_streams"
    SLOW = "slow"
    MALFORMED = "malformed"
    STREAM_ERRORS = "stream_errors"
    REFUSED = "refused"
    FILTERED = "filtered"
    TOO_LONG = "too_long"
    SPENT = "spent"
    OUTAGE = "outage"
    """Down, and says so."""
    OUTAGE_CUT = "outage_cut"
    OUTAGE_HANG = "outage_hang"


_OUTAGES: Final[Mapping[str, Fault]] = {
    "error": Fault.OUTAGE,
    "cut": Fault.OUTAGE_CUT,
    "hang": Fault.OUTAGE_HANG,
}


@dataclass(frozen=True, slots=True)
class Window:
    """An outage in Unix seconds; its end is not part of it."""

    begins: float
    ends: float

    def holds(self, now: float) -> bool:
        """Whether it is on."""
        return self.begins <= now < self.ends


def window_of(outage: OutageSettings, now: float) -> Window:
    """The outage in absolute time, set at `now`."""
    if outage.to_s is not None:
        return Window(now + outage.from_s, now + outage.to_s)
    if outage.ends_at is None:
        raise ValueError("an outage without an end")
    begins = now + outage.from_s if outage.starts_at is None else outage.starts_at.timestamp()
    return Window(begins, outage.ends_at.timestamp())


class FaultPlan:
    """What one cloud does wrong from now on."""

    __slots__ = ("_bounds", "_down", "_outages", "settings")

    def __init__(self, settings: FaultSettings, now: float) -> None:
        self.settings = settings
        self._outages = tuple(window_of(outage, now) for outage in settings.outages)
        self._down = _OUTAGES[settings.outage_as]
        bounds: list[tuple[float, Fault]] = []
        upper = 0.0
        for name, rate in settings.rates:
            if rate > 0:
                upper += rate
                bounds.append((upper, Fault(name)))
        self._bounds = tuple(bounds)

    def changed(self, given: Mapping[str, Any], now: float) -> "FaultPlan":
        """The plan with these settings changed; the others, and outages under way, stay.

        Raises pydantic's ValidationError.
        """
        kept = self.settings.model_dump(exclude_unset=True)
        kept["outages"] = tuple(
            {"starts_at": _at(window.begins), "ends_at": _at(window.ends)}
            for window in self._outages
            if window.ends > now
        )
        return FaultPlan(FaultSettings.model_validate({**kept, **given}), now)

    def is_down(self, now: float) -> bool:
        """Whether an outage is on."""
        return bool(self._outages) and any(window.holds(now) for window in self._outages)

    def choose(self, number: float, now: float) -> Fault | None:
        """The fault of a call at this time, if any; one number of `draw` decides.

        An outage goes before everything else; of the others a call meets at most one.
        """
        if self._outages and self.is_down(now):
            return self._down
        for upper, fault in self._bounds:
            if number < upper:
                return fault
        return None

    def described(self, now: float) -> dict[str, Any]:
        """What is on, for people and programs: outages in absolute time, past ones left out."""
        shown = self.settings.model_dump(mode="json", exclude={"outages"})
        shown["down"] = self.is_down(now)
        shown["outages"] = [
            {"starts_at": to_rfc3339(window.begins), "ends_at": to_rfc3339(window.ends)}
            for window in self._outages
            if window.ends > now
        ]
        return shown


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
