"""Commands whose modules are imported when they are used, so that `--help` is quick."""

import importlib
from dataclasses import dataclass
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """A command by name: its module in this room holds a function of that name, or a Typer `app`.

    A hyphen is an underscore there. `text` is what the list of commands says of it, `panel` the
    heading it stands under.
    """

    name: str
    text: str
    panel: str

    @property
    def function(self) -> str:
        """The name of the function, and of the module in this room."""
        return self.name.replace("-", "_")

    @property
    def module(self) -> str:
        """The module's full name."""
        return f"broker.cli.{self.function}"


class LazyGroup(TyperGroup):
    """A group that lists `lazy` and imports a command when it is called or completed."""

    lazy: ClassVar[tuple[LazyCommand, ...]] = ()

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for command in self.lazy:
            listed = TyperCommand(command.name, help=command.text, rich_help_panel=command.panel)
            self.commands[command.name] = listed
        self._loaded: set[str] = set()

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that is called; here its module is imported."""
        name, found, rest = super().resolve_command(ctx, args)
        for command in self.lazy:
            if command.name == name and name not in self._loaded:
                found = self.commands[name] = _imported(command)
                self._loaded.add(name)
        return name, found, rest


def _imported(command: LazyCommand) -> Any:
    module = importlib.import_module(command.module)
    around = typer.Typer(add_completion=False)
    if hasattr(module, "app"):
        around.add_typer(module.app, name=command.name)
    else:
        around.command(command.name)(getattr(module, command.function))
    found = typer.main.get_group(around).commands[command.name]
    for each in (found, *getattr(found, "commands", {}).values()):
        each.help = _unwrapped(each.help or "")
    return found


def _unwrapped(text: str) -> str:
    """A docstring without the line ends of its source, which a terminal has no use for."""
    paragraphs = text.split("\n\n")
    return "\n\n".join(part if "\n " in part else " ".join(part.split("\n")) for part in paragraphs)
