"""What each worker says of itself in `llm.providers`, each second and on change."""

from dataclasses import asdict, dataclass, fields
from typing import Final, Literal

import orjson

from broker.records.errors import BadRecordError
from broker.records.times import from_rfc3339, to_rfc3339

BreakerState = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class ProviderState:
    """One worker's state.

    `waiting_weight` is the weight of work fetched or still in its partitions that has not started,
    in token units; `speed` what its slots can do together in token units a second (None until a
    call has been measured), and no more than its quotas allow; `slots` the calls it may run at once
    now, `most_slots` those that its settings allow. `at` is unix seconds.

    `output_tokens_s` are tokens of answers a second, the quantiles those of the first token of late
    calls (seconds). `requests_left` and `tokens_left` are what is left to this worker of the last
    minute where there is a limit; `quota_base` and `quota_claimed` are shares of every limit, as in
    `broker.core.quota_shares`. `stopped` says why only a person can bring it back, such as `spent`.
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
    most_slots: int | None = None
    output_tokens_s: float | None = None
    first_token_p50_s: float | None = None
    first_token_p95_s: float | None = None
    requests_left: float | None = None
    tokens_left: float | None = None
    quota_base: float = 0.0
    quota_claimed: float = 0.0
    stopped: str | None = None

    @property
    def key(self) -> bytes:
        """The compacted topic's key: `<provider>/<worker>`."""
        return f"{self.provider}/{self.worker}".encode()


_FIELDS: Final = frozenset(field.name for field in fields(ProviderState))


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
    """Read a state record; raises BadRecordError when it is not one of ours.

    One of an older or newer program may lack fields that have a default, or have others.
    """
    try:
        data = orjson.loads(value or b"")
        again = data.get("opens_again_at")
        return ProviderState(
            **{
                **{name: given for name, given in data.items() if name in _FIELDS},
                "at": from_rfc3339(data["at"]),
                "opens_again_at": None if again is None else from_rfc3339(again),
            }
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise BadRecordError(
            "A provider state is not in the contract's form.",
            mend="Something other than a worker wrote to the providers topic.",
            code="bad_provider_state",
        ) from error
