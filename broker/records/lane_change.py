"""A change of the lanes' thresholds, as it stands in `llm.control` among other records."""

from dataclasses import dataclass
from typing import Final

import orjson

from broker.records.errors import BadRecordError
from broker.records.times import from_rfc3339, to_rfc3339

LANES: Final = "lanes"
KEY: Final = b"lanes"


@dataclass(frozen=True, slots=True)
class LaneChange:
    """The thresholds from now on; `old_` are those it was made from. `at` is unix seconds.

    What was routed before stays in the lane it is in. `by` is the classifier that made it.
    """

    light_max: int
    heavy_min: int
    old_light_max: int
    old_heavy_min: int
    why: str
    at: float
    by: str = ""


def encode_lane_change(change: LaneChange) -> bytes:
    """The value of the record; its key is `KEY`."""
    return orjson.dumps(
        {
            "type": LANES,
            "light_max": change.light_max,
            "heavy_min": change.heavy_min,
            "old_light_max": change.old_light_max,
            "old_heavy_min": change.old_heavy_min,
            "why": change.why,
            "at": to_rfc3339(change.at),
            "by": change.by,
        }
    )


def decode_lane_change(value: bytes | None) -> LaneChange | None:
    """Read a control record; None for one of another type.

    Raises BadRecordError when it is not one of ours, or its thresholds are not in order.
    """
    try:
        data = orjson.loads(value or b"")
        if data["type"] != LANES:
            return None
        light, heavy = _in_order(data["light_max"], data["heavy_min"])
        return LaneChange(
            light,
            heavy,
            *_in_order(data["old_light_max"], data["old_heavy_min"]),
            data["why"],
            from_rfc3339(data["at"]),
            data.get("by", ""),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadRecordError(
            "A change of lanes is not in the contract's form.",
            mend="Something other than a classifier wrote it to the control topic.",
            code="bad_lane_change",
        ) from error


def _in_order(light: object, heavy: object) -> tuple[int, int]:
    if not isinstance(light, int) or not isinstance(heavy, int) or not 0 < light < heavy:
        raise ValueError("thresholds in their order are expected")
    return light, heavy
