"""`weighbridge config`: what the settings are, and whether they will do."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker.cli.options import AsJson, Config
from broker.cli.output import console, say, table, write, write_json
from broker.records.errors import UsageError

if TYPE_CHECKING:
    from broker.settings.problems import Problem

app = typer.Typer(help="The settings: weighbridge.toml, then WEIGHBRIDGE_... variables.")
Origin = Annotated[bool, typer.Option("--changed", help="Only what is not a default.")]


@app.callback(invoke_without_command=False)
def _group() -> None:
    pass


@app.command()
def show(config: Config = None, changed: Origin = False, as_json: AsJson = False) -> None:
    """Print every setting and where it comes from. Secrets are masked."""
    from broker.settings.loading import load_settings, settings_file
    from broker.settings.origins import DEFAULT, Origins

    settings = load_settings(config)
    masked = settings.masked()
    origins = Origins(settings_file(config))
    rows = [(path, value, origins.of(path)) for path, value in _leaves(masked)]
    if changed:
        rows = [row for row in rows if row[2] != DEFAULT]
    if as_json:
        chosen = _nested(rows) if changed else masked
        write_json({"settings": chosen, "origins": {".".join(p): o for p, _, o in rows}})
        return
    shown = table("setting", "value", "from")
    shown.columns[0].no_wrap = True
    for path, value, origin in rows:
        shown.add_row(".".join(path), _told(value), "" if origin == DEFAULT else origin)
    console().print(shown, markup=False)


@app.command()
def check(config: Config = None, as_json: AsJson = False) -> None:
    """Name every mistake, with its place and how to mend it. Exit code 2 when there is one.

    Among them are dialects that do not exist, and libraries that `auth` needs and are missing here.
    Doubts (a provider that is simulated, a key that is not set) are told and are no mistakes.
    """
    from broker.cli.provider_mistakes import provider_mistakes
    from broker.settings.advice import advice_on
    from broker.settings.loading import load_settings, settings_file
    from broker.settings.origins import Origins
    from broker.settings.problems import InvalidSettingsError, Problem

    mistakes: Sequence[Problem] = ()
    doubts: Sequence[Problem] = ()
    file = config
    try:
        file = settings_file(config)
        settings, origins = load_settings(config), Origins(file)
        mistakes = provider_mistakes(settings, origins)
        doubts = advice_on(settings, origins)
    except InvalidSettingsError as error:
        mistakes = error.problems
    except UsageError as error:
        mistakes = (Problem("file", error.message.rstrip("."), error.mend, str(file)),)
    if as_json:
        write_json({"mistakes": _dumped(mistakes), "warnings": _dumped(doubts)})
    else:
        for kind, found in (("mistake", mistakes), ("warning", doubts)):
            for problem in found:
                write(f"{kind}: {problem}. {problem.mend}")
        say(_verdict(len(mistakes), len(doubts), file))
    if mistakes:
        raise typer.Exit(2)


def _verdict(mistakes: int, doubts: int, file: Path | None) -> str:
    where = f"{file} and the environment" if file is not None else "the environment and defaults"
    if mistakes:
        return f"config: {mistakes} to mend in {where}"
    warnings = "1 warning" if doubts == 1 else f"{doubts} warnings"
    return f"config: {where} can be used" + (f"; {warnings}" if doubts else "")


def _dumped(problems: "Sequence[Problem]") -> list[dict[str, str]]:
    return [
        {
            "place": problem.place,
            "source": problem.source,
            "text": problem.text,
            "mend": problem.mend,
        }
        for problem in problems
    ]


def _leaves(
    value: dict[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, held in value.items():
        if isinstance(held, dict) and held:
            yield from _leaves(held, (*path, name))
        else:
            yield (*path, name), held


def _nested(rows: "Sequence[tuple[tuple[str, ...], Any, str]]") -> dict[str, Any]:
    made: dict[str, Any] = {}
    for path, value, _ in rows:
        inner = made
        for part in path[:-1]:
            inner = inner.setdefault(part, {})
        inner[path[-1]] = value
    return made


def _told(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "{}" if value == {} else str(value)
