"""One thing that was looked at, and looking at several at once within a deadline."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from broker.records.errors import WeighbridgeError

Level = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing; `mend` is one sentence, empty when all is well.

    `facts` are its figures for programs, by name, where it has any.
    """

    check: str
    level: Level
    text: str
    mend: str = ""
    facts: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """The finding as `doctor --json` tells it."""
        told = {"check": self.check, "level": self.level, "text": self.text, "mend": self.mend}
        return told if self.facts is None else {**told, "facts": dict(self.facts)}


def ok(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, "ok", text)


def warning(check: str, text: str, mend: str) -> Finding:
    """It works, but not as well as it could, or not for long."""
    return Finding(check, "warning", text, mend)


def problem(check: str, text: str, mend: str) -> Finding:
    """It does not work."""
    return Finding(check, "problem", text, mend)


def failed(check: str, error: WeighbridgeError) -> Finding:
    """The thing cannot be looked at."""
    return problem(check, error.message, error.mend)


Examiner = Callable[[], Iterable[Finding]]


def examine(examiners: Mapping[str, Examiner], *, deadline_s: float) -> list[Finding]:
    """Run all at once; returns their findings in the order of the examiners.

    One that does not end in time leaves what it has found and a problem that says so; its thread
    ends with the process.
    """
    told: queue.SimpleQueue[tuple[str, Finding | None]] = queue.SimpleQueue()
    for name, examiner in examiners.items():
        threading.Thread(target=_run, args=(name, examiner, told), daemon=True).start()
    found: dict[str, list[Finding]] = {name: [] for name in examiners}
    running = set(examiners)
    ends = time.monotonic() + deadline_s
    while running:
        try:
            name, finding = told.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            break
        if finding is None:
            running.discard(name)
        else:
            found[name].append(finding)
    for name in running:
        text = f"no answer within {deadline_s:.0f} s"
        found[name].append(problem(name, text, "Check the network and what it connects to."))
    return [finding for name in examiners for finding in found[name]]


def _run(
    name: str, examiner: Examiner, told: "queue.SimpleQueue[tuple[str, Finding | None]]"
) -> None:
    try:
        for finding in examiner():
            told.put((name, finding))
    except WeighbridgeError as error:
        told.put((name, failed(name, error)))
    except Exception as error:  # noqa: BLE001 - one examiner's failure must not hide the others
        text = f"it could not be looked at: {type(error).__name__}"
        told.put((name, problem(name, text, "This is a mistake in Weighbridge; please report it.")))
    finally:
        told.put((name, None))
