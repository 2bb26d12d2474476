"""Which partition of the completions a prompt's end goes to; one rule for all who write one."""

from broker.core.dedupe import home_partition
from broker.log.units import PartitionSet


def completion_place(
    prompt_id: str, reply_partition: int | None, *, partitions: int, by_key: bool
) -> int | PartitionSet:
    """The prompt's `reply-partition`, else the id's home with `by_key`, else any."""
    if reply_partition is not None and 0 <= reply_partition < partitions:
        return reply_partition
    if by_key:
        return home_partition(prompt_id, partitions)
    return PartitionSet(0, partitions)
