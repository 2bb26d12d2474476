"""How a measurement fails."""

from broker.records.errors import WeighbridgeError


class MeasurementFailedError(WeighbridgeError):
    """A figure could not be measured, or what was measured was not what should have been."""

    default_code = "not_measured"
