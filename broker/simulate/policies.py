"""Policies to be compared: settings files, each laid over the base settings."""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from broker.records.errors import UsageError
from broker.settings import Settings, load_settings

_MOST_WORKERS: Final = 100

AS_THEY_ARE: Final = "settings"
"""The name of the base settings by themselves."""


@dataclass(frozen=True, slots=True)
class Policy:
    """A configuration to be replayed, under the name of its file.

    `workers` are the sizes of the providers' pools; one where it does not say.
    """

    name: str
    settings: Settings
    workers: Mapping[str, int] = field(default_factory=dict)


def read_policies(config: Path | None, files: Sequence[Path]) -> tuple[Policy, ...]:
    """The base settings with each of these files over them; alone where there is none.

    A file has the sections of any settings file, with what is to be other; a section
    `[simulate]` with `providers = [...]` names those that take part, in order of preference, and
    with `workers = 2` (or `{azure = 2}`) says how many workers they have. Raises UsageError that
    names the file.
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
    return tuple(_read(config, path) for path in files)


def _read(config: Path | None, path: Path) -> Policy:
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
    if not isinstance(chosen, Mapping) or set(chosen) - {"providers", "workers"}:
        raise _wrong(path, "has another key in [simulate] than providers and workers")
    settings = _among(settings, chosen.get("providers"), path)
    return Policy(path.stem, settings, _workers(settings, chosen.get("workers", 1), path))


def _workers(settings: Settings, given: Any, path: Path) -> Mapping[str, int]:
    """How many workers each provider has."""
    sizes = given if isinstance(given, Mapping) else dict.fromkeys(settings.providers, given)
    if not all(type(size) is int and 1 <= size <= _MOST_WORKERS for size in sizes.values()):
        raise _wrong(path, f"has another number of workers than 1 to {_MOST_WORKERS}")
    unknown = ", ".join(sorted(set(sizes) - set(settings.providers)))
    if unknown:
        raise _wrong(path, f"has workers of no provider of the settings: {unknown}")
    return dict(sizes)


def _among(settings: Settings, names: Any, path: Path) -> Settings:
    """Only the providers that take part, in the order in which they are named."""
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
