"""What each worker says of itself in `llm.providers`, each second and on change."""

from dataclasses import asdict, dataclass, field, fields
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

    `waiting_weight_by_lane` splits `waiting_weight`. `calls_take` are seconds to the first token
    and for each further one, by model alias; `late_by_lane` real over expected time of what was
    routed here, of late; `back_at` when its breaker closed last, in unix seconds. `oldest_wait_s`
    is for how long the prompt that has waited longest in each lane has been accepted; it counts
    what has been read, and lanes where nothing waits are left out.
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
    waiting_weight_by_lane: dict[str, int] = field(default_factory=dict)
    calls_take: dict[str, tuple[float, float]] = field(default_factory=dict)
    late_by_lane: dict[str, float] = field(default_factory=dict)
    back_at: float | None = None
    oldest_wait_s: dict[str, float] = field(default_factory=dict)

    @property
    def key(self) -> bytes:
        """The compacted topic's key: `<provider>/<worker>`."""
        return f"{self.provider}/{self.worker}".encode()


_FIELDS: Final = frozenset(field.name for field in fields(ProviderState))


def encode_state(state: ProviderState) -> bytes:
    """The value of a state record."""
    again, back = state.opens_again_at, state.back_at
    return orjson.dumps(
        {
            **asdict(state),
            "at": to_rfc3339(state.at),
            "opens_again_at": None if again is None else to_rfc3339(again),
            "back_at": None if back is None else to_rfc3339(back),
        }
    )


def decode_state(value: bytes | None) -> ProviderState:
    """Read a state record; raises BadRecordError when it is not one of ours.

    One of an older or newer program may lack fields that have a default, or have others.
    """
    try:
        data = orjson.loads(value or b"")
        again, back = data.get("opens_again_at"), data.get("back_at")
        take = data.get("calls_take", {}).items()
        return ProviderState(
            **{
                **{name: given for name, given in data.items() if name in _FIELDS},
                "at": from_rfc3339(data["at"]),
                "opens_again_at": None if again is None else from_rfc3339(again),
                "back_at": None if back is None else from_rfc3339(back),
                "calls_take": {model: (line[0], line[1]) for model, line in take},
            }
        )
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise BadRecordError(
            "A provider state is not in the contract's form.",
            mend="Something other than a worker wrote to the providers topic.",
            code="bad_provider_state",
        ) from error
