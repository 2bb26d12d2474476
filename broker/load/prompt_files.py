"""Prompts as people have them: text, JSON lines, one JSON object, or a CSV with a `prompt` column.

Everything is read twice: once to find what is wrong before anything is sent, then to send it.
Memory follows the largest prompt, not the file.
"""

import csv
import io
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO, Any, Final, Literal

from broker.load.prompt_columns import Column, columns_of, unknown_columns
from broker.log.topic_plan import PROMPT_BYTES
from broker.records.errors import UsageError
from broker.records.ids import MAX_ID_LENGTH, is_place_id, is_valid_id
from broker.records.strict_json import StrictJsonError, loads

Form = Literal["text", "object", "lines", "csv"]

_IN_MEMORY: Final = 16 * 1024 * 1024
_BLOCK: Final = 64 * 1024
_BOM: Final = b"\xef\xbb\xbf"
_JSON_SUFFIXES: Final = frozenset({".jsonl", ".ndjson", ".json"})


@dataclass(frozen=True, slots=True)
class WrittenPrompt:
    """One prompt as it is written on `line` (from 1): its fields, perhaps with an `id`."""

    line: int
    fields: Mapping[str, Any] = field(repr=False)


class PromptFile:
    """Prompts of one source; iterate as often as needed.

    Iterating raises UsageError that names the source and the line of what is wrong, never what
    is written there.
    """

    def __init__(self, stream: IO[bytes], name: str, form: Form) -> None:
        self._stream = stream
        self.name = name
        self.form = form

    def __iter__(self) -> Iterator[WrittenPrompt]:
        self._stream.seek(0)
        if self._stream.read(len(_BOM)) != _BOM:
            self._stream.seek(0)
        if self.form == "text":
            yield self._text()
        elif self.form == "object":
            yield self._object(1, self._stream.read())
        elif self.form == "csv":
            yield from self._rows()
        else:
            yield from self._lines()

    def left_out(self) -> list[str]:
        """Columns of a CSV that are no field of the contract."""
        if self.form != "csv":
            return []
        self._stream.seek(0)
        return unknown_columns(next(csv.reader([self._stream.readline().decode("utf-8-sig")]), []))

    def _text(self) -> WrittenPrompt:
        data = self._stream.read(PROMPT_BYTES + 1)
        if len(data) > PROMPT_BYTES:
            raise self._wrong(1, "the text is larger than a prompt may be")
        try:
            text = data.decode().strip("\r\n")
        except UnicodeDecodeError as error:
            raise self._wrong(data.count(b"\n", 0, error.start) + 1, "it is not UTF-8") from None
        if not text.strip():
            raise UsageError(f"There is no prompt in {self.name}.", mend="Write one.")
        return WrittenPrompt(1, {"prompt": text})

    def _lines(self) -> Iterator[WrittenPrompt]:
        found = False
        for number in count(1):
            line = self._stream.readline(PROMPT_BYTES + 1)
            if not line:
                break
            if len(line) > PROMPT_BYTES:
                raise self._wrong(number, "it is larger than a prompt may be")
            if line.strip():
                found = True
                yield self._object(number, line)
        if not found:
            raise UsageError(f"There is no prompt in {self.name}.", mend="Write one on each line.")

    def _object(self, number: int, data: bytes) -> WrittenPrompt:
        try:
            value = loads(data)
        except StrictJsonError as error:
            raise self._wrong(number, _within_a_line(error.message)) from None
        if not isinstance(value, dict):
            raise self._wrong(number, "it is JSON, but not an object with a prompt in it")
        return self._checked(number, value)

    def _rows(self) -> Iterator[WrittenPrompt]:
        text = io.TextIOWrapper(self._stream, encoding="utf-8", newline="")
        csv.field_size_limit(PROMPT_BYTES)
        rows = csv.reader(text, strict=True)
        columns: list[Column | None] | None = None
        line, found = 1, False
        try:
            for row in rows:
                if columns is None:
                    columns = self._columns(row)
                elif any(row):
                    found = True
                    yield self._row(line, columns, row)
                line = rows.line_num + 1
        except csv.Error as error:
            raise self._wrong(line, str(error)) from None
        except UnicodeDecodeError:
            raise self._wrong(line, "it, or what follows soon, is not UTF-8") from None
        finally:
            text.detach()
        if not found:
            raise UsageError(f"There is no prompt in {self.name}.", mend="Write one on each line.")

    def _columns(self, header: list[str]) -> list[Column | None]:
        columns = columns_of(header)
        names = [column.name for column in columns if column is not None]
        if "prompt" not in names:
            raise self._wrong(1, "the header has no column `prompt`")
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise self._wrong(1, f"the header has the column `{twice}` more than once")
        return columns

    def _row(self, line: int, columns: list[Column | None], row: list[str]) -> WrittenPrompt:
        if len(row) > len(columns):
            raise self._wrong(line, f"it has {len(row)} cells, the header {len(columns)}")
        fields: dict[str, Any] = {}
        for column, cell in zip(columns, row, strict=False):
            if column is None or not cell.strip():
                continue
            try:
                fields[column.name] = column.read(cell)
            except ValueError:
                raise self._wrong(line, f"`{column.name}` must be {column.what}") from None
        if "prompt" not in fields:
            raise self._wrong(line, "its `prompt` is empty")
        return self._checked(line, fields)

    def _checked(self, line: int, fields: dict[str, Any]) -> WrittenPrompt:
        identity = fields.get("id")
        if identity is not None:
            problem = id_problem(identity)
            if problem:
                raise self._wrong(line, problem)
        return WrittenPrompt(line, fields)

    def _wrong(self, line: int, what: str) -> UsageError:
        return UsageError(
            f"Line {line} of {self.name} is wrong: {what}.", mend="Nothing of it was sent."
        )


def id_problem(identity: object) -> str | None:
    """Why a prompt cannot have this id, or None when it can."""
    if not isinstance(identity, str) or not is_valid_id(identity):
        return f"the id must have 1 to {MAX_ID_LENGTH} characters of A-Z a-z 0-9 _ . : ~ -"
    if is_place_id(identity):
        return "an id of two numbers joined by a hyphen is kept for records without one"
    return None


def _within_a_line(message: str) -> str:
    told = message.rstrip(".").replace(" at line 1, column", " at column")
    return told[0].lower() + told[1:] if told.startswith("The ") else told


@contextmanager
def given_text(text: str) -> Iterator[PromptFile]:
    """One prompt, whatever it begins with."""
    with io.BytesIO(text.encode("utf-8", "surrogateescape")) as stream:
        yield PromptFile(stream, "TEXT", "text")


@contextmanager
def opened_file(path: Path) -> Iterator[PromptFile]:
    """JSON lines, or a CSV, by its suffix, else by its first character; raises UsageError."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise UsageError(
            f"The file {path} cannot be read: {error.strerror}.", mend="Name another."
        ) from error
    with ExitStack() as stack:
        stack.enter_context(file)
        stream: IO[bytes] = file if file.seekable() else _spooled(file, stack)
        suffix = path.suffix.lower()
        as_json = _begins_object(stream) if suffix != ".csv" else False
        if as_json or suffix in _JSON_SUFFIXES:
            yield PromptFile(stream, str(path), _json_form(stream))
        else:
            yield PromptFile(stream, str(path), "csv")


@contextmanager
def opened_stream(given: IO[bytes], name: str) -> Iterator[PromptFile]:
    """JSON where the first character is `{`: an object on each line, or one over all lines.

    Everything else is one text prompt.
    """
    with ExitStack() as stack:
        stream = _spooled(given, stack)
        form = _json_form(stream) if _begins_object(stream) else "text"
        yield PromptFile(stream, name, form)


def _spooled(given: IO[bytes], stack: ExitStack) -> IO[bytes]:
    spool = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the stack closes it
    stack.enter_context(spool)
    # One system call for each block: a keyboard's end of input is told only once.
    read: Callable[[int], bytes] = getattr(given, "read1", given.read)
    while block := read(_BLOCK):
        spool.write(block)
    return spool


def _begins_object(stream: IO[bytes]) -> bool:
    stream.seek(0)
    while block := stream.read(4096):
        text = block.removeprefix(_BOM).lstrip()
        if text:
            return text[:1] == b"{"
    return False


def _json_form(stream: IO[bytes]) -> Form:
    """`object` where the first line is no whole object and all lines together are one."""
    stream.seek(0)
    data = stream.read(PROMPT_BYTES + 1)
    if len(data) > PROMPT_BYTES:
        return "lines"
    try:
        loads(data.removeprefix(_BOM))
    except StrictJsonError:
        return "lines"
    return "object"
