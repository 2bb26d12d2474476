"""What a simulator and those who talk to it agree on."""

from typing import Final

DEFAULT_PORT: Final = 8399

CONTROL: Final = "/control/"
"""The paths that are no cloud's."""

SIMULATOR_HEADER: Final = "x-weighbridge-simulator"
"""In every answer of these paths, so that something else on the port is not taken for it."""
