"""What commands write: results on standard output, everything else on standard error."""

import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table

    from broker.story.log_reader import Progress

_KEEP_STILL_S = 0.5
"""What is quicker than this shows no progress."""


def say(text: str) -> None:
    """A line for a person, beside the result."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def write(text: str, end: str = "\n") -> None:
    """A line of the result. A reader that went away (`| head`) ends the command quietly."""
    try:
        sys.stdout.write(f"{text}{end}")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would complain once more when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None


def write_json(value: Any) -> None:
    """A JSON value on a line of its own."""
    import orjson

    write(orjson.dumps(value).decode())


def console(*, stderr: bool = False) -> "Console":
    """Rich's console; it honours NO_COLOR and draws nothing where there is no terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def table(*columns: str, right: tuple[str, ...] = ()) -> "Table":
    """A table in our one style; the columns in `right` hold numbers."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        made.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return made


@contextmanager
def reading_progress() -> "Iterator[Progress | None]":
    """A bar on standard error while topics are read; none where it is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=console(stderr=True),
        transient=True,
    )
    began = time.monotonic()
    tasks: dict[str, Any] = {}

    def tell(topic: str, done: int, total: int) -> None:
        if not tasks and time.monotonic() - began < _KEEP_STILL_S:
            return
        if topic not in tasks:
            bar.start()
            tasks[topic] = bar.add_task(topic, total=total)
        bar.update(tasks[topic], completed=done, total=total)

    try:
        yield tell
    finally:
        if tasks:
            bar.stop()


def harmless(text: str) -> str:
    """Text of others for a terminal: control characters but new lines and tabs as escapes."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode()
        for char in text
    )


def milliseconds(ms: float | None) -> str:
    """A duration as a person reads it: `12 ms`, `1.24 s`, `3 min 20 s`; `-` for none."""
    if ms is None:
        return "-"
    if ms < 1000:  # noqa: PLR2004 - a second
        return f"{ms:.0f} ms"
    seconds = ms / 1000
    if seconds < 100:  # noqa: PLR2004 - beyond it the fraction says nothing
        return f"{seconds:.2f} s"
    return f"{seconds // 60:.0f} min {seconds % 60:.0f} s"


def dollars(cost: float | None) -> str:
    """A cost in US dollars; `-` where no price is known."""
    return "-" if cost is None else f"{cost:.4f}"
