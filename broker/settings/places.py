"""Where the settings file, the data and the state of this user lie."""

import os
from pathlib import Path

import platformdirs

from broker.records.errors import UsageError

CONFIG_FILE = "weighbridge.toml"
CONFIG_VARIABLE = "WEIGHBRIDGE_CONFIG"


def settings_file(config: Path | None) -> Path | None:
    """The file that `load_settings` reads; None when there is none, which is well.

    Raises UsageError when one was named and is not there.
    """
    named = os.environ.get(CONFIG_VARIABLE) or None
    path = config or Path(named or CONFIG_FILE)
    if path.is_file():
        return path
    if path.exists():
        raise UsageError(f"The settings file {path} is not a file.", mend="Name another, or none.")
    if config is None and named is None:
        return None
    by = "" if config is not None else f", named by {CONFIG_VARIABLE},"
    raise UsageError(f"The settings file {path}{by} does not exist.", mend="Name another, or none.")


def data_folder() -> Path:
    """Where the embedded broker's data and the claim checks lie (`XDG_DATA_HOME` moves it)."""
    return platformdirs.user_data_path("weighbridge")


def state_folder() -> Path:
    """Where logs, chosen ports and process ids lie (`XDG_STATE_HOME` moves it)."""
    return platformdirs.user_state_path("weighbridge")
