"""Policies to be compared: settings files, each laid over the base settings."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from broker.records.errors import UsageError
from broker.settings import Settings, load_settings

AS_THEY_ARE: Final = "settings"
"""The name of the base settings by themselves."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A configuration to be replayed, under the name of its file."""

    name: str
    settings: Settings


def read_policies(config: Path | None, files: Sequence[Path]) -> tuple[Policy, ...]:
    """The base settings with each of these files over them; alone where there is none.

    A file has the sections of any settings file, with what is to be other; a section
    `[simulate]` with `providers = [...]` names those that take part, in order of preference.
    Raises UsageError that names the file.
    """
    if not files:
        return (Policy(AS_THEY_ARE, load_settings(config)),)
    names = [path.stem for path in files]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(
            f"Two policies are named {twice}.",
            mend="Their files' names tell them apart: rename one.",
        )
    return tuple(Policy(path.stem, _read(config, path)) for path in files)


def _read(config: Path | None, path: Path) -> Settings:
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise _wrong(path, f"cannot be read: {error.strerror or 'no reason given'}") from error
    except ValueError as error:
        raise _wrong(path, f"is not TOML: {error}") from error
    chosen = given.pop("simulate", {})
    try:
        settings = load_settings(config, **given)
    except UsageError as error:
        raise _wrong(path, f"does not fit the settings. {error.message}") from error
    return _among(settings, chosen, path)


def _among(settings: Settings, chosen: Any, path: Path) -> Settings:
    """Only the providers that take part, in the order in which they are named."""
    if not isinstance(chosen, Mapping) or set(chosen) - {"providers"}:
        raise _wrong(path, "has another key in [simulate] than providers")
    names = chosen.get("providers")
    if names is None:
        return settings
    unknown = [name for name in names if name not in settings.providers]
    if not names or unknown:
        raise _wrong(path, f"names no provider of the settings: {', '.join(map(str, unknown))}")
    return settings.model_copy(
        update={"providers": {name: settings.providers[name] for name in names}}
    )


def _wrong(path: Path, what: str) -> UsageError:
    return UsageError(f"The policy {path} {what}.", code="invalid_policy")
