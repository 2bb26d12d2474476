"""Options that commands share, and the settings they make."""

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.records.errors import UsageError

if TYPE_CHECKING:
    from broker.settings import Settings

Config = Annotated[Path | None, typer.Option(help="Settings file; default weighbridge.toml here.")]
Kafka = Annotated[
    str | None, typer.Option(metavar="HOST:PORT", help="Use this broker, not the settings' one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of text for people.")]

_ADDRESS = re.compile(r"[^\s:,]+:[0-9]{1,5}|\[[0-9A-Fa-f:.]+\]:[0-9]{1,5}")
_AGO = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|h|d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


def load_for_up(config: Path | None, kafka: str | None) -> "Settings":
    """The settings with the broker of `--kafka`; `embedded` stays, for `up` starts that one.

    Raises UsageError for what is wrong in them.
    """
    from broker.settings import load_settings

    if kafka is None:
        return load_settings(config)
    if not all(_ADDRESS.fullmatch(part.strip()) for part in kafka.split(",")):
        raise UsageError(
            f"--kafka is {kafka!r}, which is no HOST:PORT.",
            mend="Give it as in --kafka localhost:9092; several are joined by commas.",
        )
    return load_settings(config, kafka={"bootstrap": kafka})


def load(config: Path | None, kafka: str | None) -> "Settings":
    """As `load_for_up`, with `embedded` replaced by where the embedded broker listens now.

    Raises NotReadyError when it does not run.
    """
    from broker.log.clients import bootstrap_servers

    settings = load_for_up(config, kafka)
    return settings.at(bootstrap_servers(settings))


def moment(text: str | None, option: str) -> float | None:
    """Unix seconds of an RFC 3339 time, or of so long ago (`90s`, `10m`, `2h`, `1d`).

    Raises UsageError for other text.
    """
    from broker.records.times import from_rfc3339

    if text is None:
        return None
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return time.time() - float(ago[1]) * _UNITS[ago[2]]
    try:
        return from_rfc3339(text.strip())
    except ValueError:
        raise UsageError(
            f"{option} is {text!r}, which is no time.",
            mend="Give an RFC 3339 time such as 2026-11-24T14:00:00Z, or how long ago, such as "
            "90s, 10m, 2h or 1d.",
        ) from None
