"""Where each setting comes from: which line of the file, which variable, or the default."""

import json
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

PREFIX = "WEIGHBRIDGE_"
BETWEEN = "__"
DEFAULT = "default"
_HEADER = re.compile(r"\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")


class Origins:
    """Looks up where settings were given; a variable wins over the file."""

    def __init__(self, file: Path | None, environ: Mapping[str, str] | None = None) -> None:
        given = os.environ if environ is None else environ
        self._variables = {
            tuple(name[len(PREFIX) :].lower().split(BETWEEN)): (name, value)
            for name, value in given.items()
            if name.upper().startswith(PREFIX)
        }
        self._file = file
        self._lines: dict[tuple[str, ...], int] = {}
        self._read: dict[str, Any] = {}
        if file is not None:
            self._read_file(file)

    def of(self, place: Sequence[str]) -> str:
        """`WEIGHBRIDGE_X__Y`, `weighbridge.toml, line 7`, or `default`."""
        wanted = tuple(place)
        lowered = tuple(part.lower() for part in wanted)
        for length in range(len(wanted), 0, -1):
            found = self._variables.get(lowered[:length])
            if found is not None and _holds(_decoded(found[1]), wanted[length:]):
                return found[0]
        if self._file is not None and _holds(self._read, wanted):
            for length in range(len(wanted), 0, -1):
                line = self._lines.get(wanted[:length])
                if line is not None:
                    return f"{self._file}, line {line}"
            return str(self._file)
        return DEFAULT

    def _read_file(self, file: Path) -> None:
        try:
            text = file.read_text("utf-8")
            self._read = tomllib.loads(text)
        except (OSError, ValueError):
            # What cannot be read is told where it is loaded.
            return
        table: tuple[str, ...] = ()
        for number, line in enumerate(text.splitlines(), 1):
            header = _HEADER.fullmatch(line)
            if header is not None:
                table = _parts(header[1])
                self._lines.setdefault(table, number)
                continue
            key = _KEY.match(line)
            if key is not None:
                self._lines.setdefault((*table, *_parts(key[1])), number)


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def _decoded(value: str) -> Any:
    try:
        return json.loads(value)
    except ValueError:
        return value


def _holds(value: Any, rest: Sequence[str]) -> bool:
    for part in rest:
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True
