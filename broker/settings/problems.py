"""What is wrong in the settings: each mistake with its place and how to mend it, no values."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsError

from broker.records.errors import UsageError
from broker.settings.origins import BETWEEN, DEFAULT, PREFIX, Origins

NOT_SETTINGS = frozenset({"WEIGHBRIDGE_CONFIG", "WEIGHBRIDGE_JARS_DIR", "WEIGHBRIDGE_PARENT_PID"})
"""Variables of ours that name no setting."""
_KEY = "[key]"
_FIELD = re.compile(r'field "(\w+)"')
_DISAGREE = "names_disagree"


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake. `place` is the setting's dotted name, `source` where it was given."""

    place: str
    text: str
    mend: str
    source: str = DEFAULT

    def __str__(self) -> str:
        where = "" if self.source == DEFAULT else f" ({self.source})"
        return f"{self.place}{where}: {self.text}"


class InvalidSettingsError(UsageError):
    """The settings cannot be used; `problems` has every mistake that was found."""

    default_code = "invalid_settings"

    def __init__(self, problems: Sequence[Problem]) -> None:
        told = "; ".join(str(problem) for problem in problems)
        mend = problems[0].mend if len(problems) == 1 else "`weighbridge config check` tells more."
        super().__init__(f"The settings are wrong: {told}.", mend=mend)
        self.problems = tuple(problems)


def disagreement(found: Iterable[tuple[str, str]]) -> PydanticCustomError:
    """For a validator that looks across sections: pairs of a dotted place and what is wrong."""
    pairs = list(found)
    told = "; ".join(f"{place}: {text}" for place, text in pairs).replace("{", "{{")
    return PydanticCustomError(_DISAGREE, told.replace("}", "}}"), {"pairs": pairs})


def problems_of(
    error: ValidationError, model: type[BaseModel], origins: Origins
) -> tuple[Problem, ...]:
    """Every mistake that pydantic found, in our words and without the values."""
    found: list[Problem] = []
    for item in error.errors(include_input=False, include_url=False):
        if item["type"] == _DISAGREE:
            found += [
                Problem(place, text, _LOOK, origins.of(place.split(".")))
                for place, text in item["ctx"]["pairs"]
            ]
            continue
        path = [str(part) for part in item["loc"] if part != _KEY]
        text, mend = _explained(item["type"], item["msg"], path, model)
        found.append(Problem(".".join(path) or "settings", text, mend, origins.of(path)))
    return tuple(found)


def unknown_variables(environ: Mapping[str, str], model: type[BaseModel]) -> tuple[Problem, ...]:
    """Variables that look like settings and name no section, which would be silently ignored."""
    found = []
    for name in sorted(environ):
        section = name.upper().removeprefix(PREFIX).split(BETWEEN)[0].lower()
        if (
            name.upper().startswith(PREFIX)
            and BETWEEN in name
            and section not in model.model_fields
        ):
            mend = f"{_meant(section, model.model_fields)}Sections: {', '.join(model.model_fields)}"
            found.append(Problem(section, "there is no such section", f"{mend}.", name))
    return tuple(found)


def not_json(error: SettingsError, environ: Mapping[str, str]) -> Problem:
    """A variable that stands for a whole section and cannot be read as one."""
    found = _FIELD.search(str(error))
    section = found[1] if found is not None else "settings"
    start = f"{PREFIX}{section}".upper()
    names = [name for name in sorted(environ) if name.upper().startswith(start)]
    return Problem(
        section,
        "a variable that holds several settings is not JSON",
        f'Give it as in {{"name": "value"}}, or each of them as {start}{BETWEEN}NAME.',
        ", ".join(names) or f"{PREFIX}...",
    )


_LOOK = "`weighbridge config show` has the names."


def _explained(
    kind: str, said: str, path: Sequence[str], model: type[BaseModel]
) -> tuple[str, str]:
    text = said.removeprefix("Value error, ").rstrip(".")
    text = text[:1].lower() + text[1:]
    if kind == "extra_forbidden":
        names = _names_at(model, path[:-1])
        return "there is no such setting", f"{_meant(path[-1], names)}Known: {', '.join(names)}."
    if kind.startswith("string_pattern"):
        return text, "Write it in the form that the pattern asks for."
    if kind == "missing":
        return "it is missing", "Give it a value."
    return text, "Change it, or take it out to have the default (`weighbridge config show`)."


def _meant(given: str, names: Iterable[str]) -> str:
    close = get_close_matches(given, list(names), 1)
    return f"Did you mean {close[0]}? " if close else ""


def _names_at(model: Any, path: Sequence[str]) -> list[str]:
    """The settings of the section at `path`."""
    current = model
    for part in path:
        if get_origin(current) is dict:
            current = get_args(current)[1]
        elif isinstance(current, type) and issubclass(current, BaseModel):
            current = current.model_fields[part].annotation
    if isinstance(current, type) and issubclass(current, BaseModel):
        return list(current.model_fields)
    return []
