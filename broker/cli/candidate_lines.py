"""The candidates of a choice for people: one line each, or a table."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from broker.cli.output import harmless, table

if TYPE_CHECKING:
    from rich.table import Table


def candidate_line(note: Mapping[str, Any]) -> str:
    """As in `google able, waits 0.4 s, done in 3.1 s, 0.001200 USD: slower`."""
    parts = [f"{note.get('provider')} {note.get('standing')}"]
    if note.get("standing") == "able":
        parts.append(f"waits {_seconds(note.get('wait_s'))}")
    if note.get("time_s") is not None:
        parts.append(f"done in {_done(note)}")
    if note.get("usd") is not None:
        parts.append(f"{note['usd']:.6f} USD")
    lost = note.get("lost")
    why = f" ({note['why']})" if note.get("why") else ""
    return harmless(f"{', '.join(parts)}: {'chosen' if lost is None else lost}{why}")


def candidate_table(notes: Sequence[Mapping[str, Any]]) -> "Table":
    """One row for each provider that serves the model, in order of preference."""
    from rich.markup import escape

    made = table(
        *("provider", "standing", "waits", "done in", "USD", "verdict"),
        right=("waits", "done in", "USD"),
    )
    for note in notes:
        lost, why = note.get("lost"), escape(str(note.get("why", "")))
        verdict = "[bold]chosen[/]" if lost is None else f"{lost}{f': {why}' if why else ''}"
        usd = note.get("usd")
        made.add_row(
            harmless(str(note.get("provider"))),
            str(note.get("standing")),
            _seconds(note.get("wait_s") if note.get("standing") == "able" else None),
            _done(note),
            "-" if usd is None else f"{usd:.6f}",
            verdict,
        )
    return made


def _done(note: Mapping[str, Any]) -> str:
    """With what it was multiplied by, where expectations were wrong lately."""
    told = f"{note.get('late', 1.0):.2f}"
    return f"{_seconds(note.get('time_s'))}{'' if told == '1.00' else f' (x{told})'}"


def _seconds(given: Any) -> str:
    return "-" if not isinstance(given, int | float) else f"{given:.1f} s"
