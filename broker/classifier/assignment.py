"""What the pipeline keeps of a partition while it is ours, and of what is on its way."""

from dataclasses import dataclass

from broker.classifier.windows import Remembered
from broker.records.errors import WeighbridgeError


@dataclass(slots=True)
class Assigned:
    """A partition during one assignment."""

    epoch: int
    remembered: Remembered
    ready: bool = False
    batches: int = 0
    """Taken so far; the number of the next one."""


@dataclass(slots=True)
class Pending:
    """What was submitted and is not committed yet, in this assignment. `size` is bytes."""

    units: int = 0
    size: int = 0


class BatchLostError(WeighbridgeError):
    """A batch did not arrive in its turn: going on would leave its records without an answer."""

    default_code = "batch_lost"
