"""Lanes: groups of a work topic's partitions by weight; light never queues behind heavy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Lane = Literal["light", "medium", "heavy", "batch"]

LANES: Final[tuple[Lane, ...]] = ("light", "medium", "heavy", "batch")
"""All lanes; the order is that of their partitions in a work topic."""

FEWEST_PARTITIONS: Final = len(LANES)


class LanePlanError(ValueError):
    """The thresholds or partition ranges cannot make lanes."""


@dataclass(frozen=True, slots=True)
class LanePlan:
    """Thresholds in weight units (tokens) and the partitions of each lane in every work topic."""

    light_max: int
    """Heaviest weight that is still light."""
    heavy_min: int
    """Least weight that is heavy."""
    partitions: Mapping[Lane, range]

    def __post_init__(self) -> None:
        if not 0 < self.light_max < self.heavy_min:
            raise LanePlanError(
                f"light_max {self.light_max} must be over 0 and under heavy_min {self.heavy_min}"
            )
        owner: dict[int, Lane] = {}
        for lane in LANES:
            own = self.partitions.get(lane, range(0))
            if not own:
                raise LanePlanError(f"lane {lane} has no partition")
            for partition in own:
                if partition in owner:
                    raise LanePlanError(
                        f"partition {partition} is in lanes {owner[partition]} and {lane}"
                    )
                owner[partition] = lane
        if set(owner) != set(range(len(owner))):
            raise LanePlanError(f"the lanes' partitions {sorted(owner)} leave a partition out")

    @property
    def total(self) -> int:
        """Partitions of a work topic."""
        return sum(len(own) for own in self.partitions.values())

    def lane_of(self, partition: int) -> Lane | None:
        """The lane that a partition belongs to; None beyond the plan."""
        for lane, own in self.partitions.items():
            if partition in own:
                return lane
        return None


def lane_for(weight: int, priority: str, plan: LanePlan) -> Lane:
    """The lane of a prompt: batch by priority, else by weight."""
    if priority == "batch":
        return "batch"
    if weight <= plan.light_max:
        return "light"
    if weight >= plan.heavy_min:
        return "heavy"
    return "medium"


def default_ranges(partitions: int) -> dict[Lane, range]:
    """Ranges for a work topic of so many partitions: half light, a quarter medium, a sixth heavy.

    12 partitions make light 0-5, medium 6-8, heavy 9-10, batch 11. Needs at least 4.
    """
    if partitions < FEWEST_PARTITIONS:
        raise LanePlanError(f"{partitions} partitions cannot hold {len(LANES)} lanes")
    batch = max(1, partitions // 12)
    heavy = max(1, partitions // 6)
    medium = max(1, partitions // 4)
    light = partitions - medium - heavy - batch
    sizes: tuple[tuple[Lane, int], ...] = (
        ("light", light),
        ("medium", medium),
        ("heavy", heavy),
        ("batch", batch),
    )
    ranges: dict[Lane, range] = {}
    first = 0
    for lane, size in sizes:
        ranges[lane] = range(first, first + size)
        first += size
    return ranges
