"""What each worker says of itself in `llm.providers`, each second and on change."""

from dataclasses import asdict, dataclass
from typing import Literal

import orjson

from broker.records.errors import BadRecordError
from broker.records.times import from_rfc3339, to_rfc3339

BreakerState = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class ProviderState:
    """One worker's state.

    `waiting_weight` is the weight of work fetched or still in its partitions that has not started,
    in token units; `speed` what its slots can do together in token units a second (None until a
    call has been measured); `slots` the calls it may run at once. `at` is unix seconds.
    """

    provider: str
    worker: str
    at: float
    breaker: BreakerState
    in_flight: int
    slots: int
    waiting: int
    waiting_weight: int
    speed: float | None
    waiting_by_lane: dict[str, int]
    in_flight_by_lane: dict[str, int]
    opens_again_at: float | None = None

    @property
    def key(self) -> bytes:
        """The compacted topic's key: `<provider>/<worker>`."""
        return f"{self.provider}/{self.worker}".encode()


def encode_state(state: ProviderState) -> bytes:
    """The value of a state record."""
    again = state.opens_again_at
    return orjson.dumps(
        {
            **asdict(state),
            "at": to_rfc3339(state.at),
            "opens_again_at": None if again is None else to_rfc3339(again),
        }
    )


def decode_state(value: bytes | None) -> ProviderState:
    """Read a state record; raises BadRecordError when it is not one of ours."""
    try:
        data = orjson.loads(value or b"")
        again = data["opens_again_at"]
        return ProviderState(
            **{
                **data,
                "at": from_rfc3339(data["at"]),
                "opens_again_at": None if again is None else from_rfc3339(again),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadRecordError(
            "A provider state is not in the contract's form.",
            mend="Something other than a worker wrote to the providers topic.",
            code="bad_provider_state",
        ) from error
