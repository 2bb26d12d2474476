"""Prompts of a replay from files: recorded arrivals as CSV, or prompts of our own as JSON lines."""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.resources import files
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

import orjson

from broker.classifier.tokens import CountTokens
from broker.core.weighing import Equivalents, content_of
from broker.load.prompt_files import opened_file
from broker.load.replay import TENANTS
from broker.load.traces import SOURCES
from broker.records.errors import UsageError
from broker.records.incoming import InputRecord, Source
from broker.records.parsing import parse_prompt
from broker.records.prompt import PRIORITIES, Catalog, Prompt, Rejected
from broker.simulate.asked import Asked, asked_of, numbered

EPOCH: Final = 1_700_000_000.0
"""When a trace begins, in unix seconds: any time would do, but always the same."""

_COLUMNS: Final[Mapping[str, str]] = {
    "at_s": "at",
    "TIMESTAMP": "at",
    "input_tokens": "input",
    "ContextTokens": "input",
    "output_tokens": "output",
    "GeneratedTokens": "output",
    "tenant": "tenant",
    "model": "model",
    "priority": "priority",
}
"""Our names of a trace's columns, and those under which Azure publishes its own."""
_NEEDED: Final = ("at", "input", "output")
_OURS: Final = ("at_s", "input_tokens", "output_tokens")
_MOST: Final = 1e12
_SIMULATED: Final = "simulated_output_tokens"
"""How a prompt of a replay tells the simulator alone how long its answer is."""
_PAUSE_S: Final = 0.1
"""Between the last prompt of a trace and its first one when it begins again."""
_EQUIVALENTS: Final = Equivalents()


def read_traces(
    given: Sequence[str],
    catalog: Catalog,
    counter: Callable[[], CountTokens],
    *,
    prompts: int | None = None,
    speed: float = 1.0,
) -> tuple[Asked, ...]:
    """The prompts of these files together, in the order in which they come.

    `conv` and `code` name the traces that are shipped, where there is no such file. Each file
    begins at the same moment. `prompts` of them are taken, all by default; traces that have fewer
    begin again. They come `speed` times as fast as they were recorded. `counter` makes what counts
    texts where a file does not say how many tokens they have. Raises UsageError that names the file
    and the line of what is wrong.
    """
    if not given:
        raise UsageError("No trace is named.", mend="Name a file with --trace.")
    read = [one for name in given for one in _read(name, catalog, counter)]
    read.sort(key=lambda one: one.prompt.accepted_at)
    wanted = len(read) if prompts is None else prompts
    return numbered(_faster(one, speed) for one in islice(_endless(read), wanted))


def _read(name: str, catalog: Catalog, counter: Callable[[], CountTokens]) -> Iterator[Asked]:
    path = Path(name)
    if name in SOURCES and not path.exists():
        shipped = files("broker.load.traces") / f"azure-2023-{name}.csv"
        lines = shipped.read_text("ascii").splitlines()
        yield from _recorded(name, TENANTS[name], lines, catalog)
    elif path.suffix.lower() in {".jsonl", ".ndjson", ".json"}:
        yield from _prompts(path, catalog, counter)
    else:
        try:
            with path.open(encoding="utf-8", newline="") as stream:
                yield from _recorded(name, path.stem, stream, catalog)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UsageError(
                f"The trace {name} cannot be read: {error}.",
                mend="Give a CSV or JSONL file, or the name of a shipped trace: "
                f"{', '.join(SOURCES)}.",
            ) from error


def _recorded(name: str, tenant: str, lines: Iterable[str], catalog: Catalog) -> Iterator[Asked]:
    """Arrivals with token counts."""
    rows = csv.DictReader(lines)
    names = {_COLUMNS[one]: one for one in rows.fieldnames or () if one in _COLUMNS}
    missing = [one for one in _NEEDED if one not in names]
    if missing:
        raise UsageError(
            f"The trace {name} has no column for {' and '.join(missing)}.",
            mend="Its first line must name at_s, input_tokens and output_tokens (or TIMESTAMP, "
            "ContextTokens and GeneratedTokens); tenant, model and priority may follow.",
        )
    stem, began = Path(name).stem, None
    for number, row in enumerate(rows):
        found = {ours: row[theirs] for ours, theirs in names.items()}
        try:
            at, tokens = _seconds(found["at"]), int(found["input"])
            output, priority = int(found["output"]), found.get("priority") or "standard"
        except (TypeError, ValueError):
            raise _no_row(name, rows.line_num) from None
        if tokens < 0 or output < 0 or priority not in PRIORITIES:
            raise _no_row(name, rows.line_num)
        began = at if began is None else began
        model = found.get("model") or catalog.default_models.get("chat", "")
        kind = catalog.models.get(model)
        if kind is None:
            raise UsageError(
                f"Line {rows.line_num} of {name} asks for a model that is not in the settings.",
                mend=f"Known are: {', '.join(catalog.models)}.",
            )
        prompt = Prompt(
            id=f"{stem}-{number:05d}",
            tenant=found.get("tenant") or tenant,
            kind=kind,
            model=model,
            priority=priority,
            provider=None,
            deadline=None,
            stream=False,
            accepted_at=EPOCH + at - began,
            source=Source(0, number),
            reply_partition=None,
            explicit_id=True,
            fields={},
            metadata={},
        )
        yield asked_of(prompt, tokens, output)


def _no_row(name: str, line: int) -> UsageError:
    return UsageError(
        f"Line {line} of {name} is no row of a trace.",
        mend="It needs a time, two whole numbers, and a priority that is one of "
        f"{', '.join(PRIORITIES)}, if any.",
    )


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def _prompts(path: Path, catalog: Catalog, counter: Callable[[], CountTokens]) -> Iterator[Asked]:
    """Prompts as `send` takes them, with `at_s` and what of the token counts is known."""
    count_tokens: CountTokens | None = None
    with opened_file(path) as written:
        for number, one in zip(count(), written, strict=False):
            fields = {name: value for name, value in one.fields.items() if name not in _OURS}
            ours = {name: one.fields.get(name) for name in _OURS}
            if ours["input_tokens"] is not None and not {"prompt", "messages", "input"} & set(
                fields
            ):
                fields["prompt"] = "-"
            at = EPOCH + _number(ours["at_s"] or 0.0, path, one.line)
            record = InputRecord(path.name, 0, number, at, None, orjson.dumps(fields), ())
            prompt = parse_prompt(record, catalog)
            if isinstance(prompt, Rejected):
                raise UsageError(f"Line {one.line} of {path} is no prompt: {prompt.message}")
            if ours["input_tokens"] is None:
                count_tokens = count_tokens or counter()
                content = content_of(prompt.fields, _EQUIVALENTS)
                tokens = count_tokens(content.texts)[0] + content.extra_tokens
            else:
                tokens = int(_number(ours["input_tokens"], path, one.line))
            output = ours["output_tokens"]
            if output is None:
                output = one.fields.get(_SIMULATED)
            yield asked_of(
                prompt, tokens, None if output is None else int(_number(output, path, one.line))
            )


def _number(value: Any, path: Path, line: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _MOST:
        raise UsageError(
            f"Line {line} of {path} has a time or a count that is no number from 0 on.",
            mend=f"{', '.join(_OURS)} are plain numbers.",
        )
    return float(value)


def _endless(read: Sequence[Asked]) -> Iterator[Asked]:
    """Again and again; ids and times of a later turn are its own."""
    if not read:
        return
    yield from read
    length_s = read[-1].prompt.accepted_at - read[0].prompt.accepted_at + _PAUSE_S
    for turn in count(1):
        for one in read:
            was = one.prompt
            later = was.accepted_at + turn * length_s
            yield replace(one, prompt=replace(was, id=f"{was.id}.{turn}", accepted_at=later))


def _faster(one: Asked, speed: float) -> Asked:
    if speed == 1.0:
        return one
    was = one.prompt
    at = EPOCH + (was.accepted_at - EPOCH) / speed
    after = None if was.deadline is None else at + was.deadline - was.accepted_at
    return replace(one, prompt=replace(was, accepted_at=at, deadline=after))
