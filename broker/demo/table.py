"""The live table and the last words of the demonstration, for a terminal."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from broker.demo.board import Board, Row, TenantRow

LANE_STYLES: Mapping[str, str] = {
    "light": "green",
    "medium": "yellow",
    "heavy": "red",
    "batch": "blue",
}
EVENT_LINES = 6
_QUANTILES = ("p50", "p95", "p99")
_SHOWN_MOVES = 3


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the replay is. Times are seconds since the first prompt."""

    sent: int
    total: int
    elapsed_s: float


def draw(board: Board, progress: Progress, events: Sequence[str]) -> RenderableType:
    """The whole live picture: progress, one row for each provider and lane, the latest events."""
    head = Text.assemble(
        (f"{progress.elapsed_s:5.1f} s  ", "bold"),
        f"sent {progress.sent}/{progress.total}   answered {board.done}   "
        f"moves {sum(board.moves.values())}   ",
        *[(f"{status} {count}  ", _status_style(status)) for status, count in _sorted(board)],
    )
    return Group(
        head,
        _table(board.rows()),
        _tenants(board.tenants()),
        Text("\n".join(events[-EVENT_LINES:]), style="dim"),
    )


def _sorted(board: Board) -> list[tuple[str, int]]:
    return sorted(board.statuses.items(), key=lambda item: -item[1])


def _status_style(status: str) -> str:
    return "green" if status == "succeeded" else "red"


def _table(rows: Sequence[Row]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("provider")
    table.add_column("lane")
    for name in ("waiting", "starts in s", "in flight", "done", "p50 s", "p95 s"):
        table.add_column(name, justify="right")
    table.add_column("breaker")
    before = ""
    for row in rows:
        table.add_row(
            row.provider if row.provider != before else "",
            Text(row.lane, style=LANE_STYLES.get(row.lane, "")),
            str(row.waiting or "·"),
            _seconds(row.starts_in),
            str(row.in_flight or "·"),
            str(row.done),
            _seconds(row.p50),
            _seconds(row.p95),
            Text(row.breaker, style="" if row.breaker == "closed" else "bold red"),
        )
        before = row.provider
    return table


def _tenants(rows: Sequence[TenantRow]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("tenant")
    for name in ("done", "p50 s", "p95 s"):
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(row.tenant, str(row.done), _seconds(row.p50), _seconds(row.p95))
    return table


def _seconds(value: float | None) -> str:
    return "·" if value is None else f"{value:.2f}"


def verdict(audit: Mapping[str, Any], board: Board) -> RenderableType:
    """What the audit found: by lane, by provider, why prompts went where, and one sentence."""
    good = audit["lost"] == 0 and audit["duplicates"] == 0 and audit["pending"] == 0
    sentence = (
        f"accepted {audit['accepted']}, completed {audit['completed']}, lost {audit['lost']}, "
        f"duplicates {audit['duplicates']}, pending {audit['pending']}; "
        f"{audit['calls']} provider calls, {audit['repeated_calls']} of them repeated; "
        f"at list prices all calls cost {_dollars(audit['cost_usd'])}, of it repeats "
        f"{_dollars(audit['repeats_cost_usd'])}"
    )
    return Group(
        _figures(audit["lanes"], "lane", {"elsewhere": board.elsewhere}),
        _figures(audit["providers"], "provider", {}),
        _tenants(board.tenants()),
        *_reasons(board),
        Text(sentence, style="bold green" if good else "bold red"),
    )


def _figures(
    rows: Mapping[str, Any], what: str, more: Mapping[str, Mapping[str, int]]
) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(what)
    for name in ("done", *more, "in", "out", "calls", "cost", *_QUANTILES):
        table.add_column(name if name not in _QUANTILES else f"{name} s", justify="right")
    for name, figures in rows.items():
        latency = figures["latency_ms"]
        table.add_row(
            Text(name, style=LANE_STYLES.get(name, "")),
            str(figures["completed"]),
            *[str(counts[name]) for counts in more.values()],
            str(figures["moves_in"]),
            str(figures["moves_out"]),
            str(figures["calls"]),
            _dollars(figures["cost_usd"]),
            *[_seconds(_from_ms(latency[each])) for each in _QUANTILES],
        )
    return table


def _reasons(board: Board) -> list[Text]:
    """One sentence of each kind: sent elsewhere at once, by lane, and moved, by whom to whom."""
    lines = [Text("Some of the reasons, as each record carries its own:")]
    by_lane = {lane: text for (lane, _), text in board.reasons.items()}
    lines += [Text(f"  {lane:>7}: {text}", style="dim") for lane, text in by_lane.items()]
    for (before, after), count in board.moves.most_common(_SHOWN_MOVES):
        text = board.move_reasons[before, after]
        lines.append(Text(f"  {count} moved {before} → {after}, such as: {text}", style="dim"))
    return lines if len(lines) > 1 else []


def _dollars(value: float | None) -> str:
    return "·" if value is None else f"${value:.4f}"


def _from_ms(value: float | None) -> float | None:
    return None if value is None else value / 1_000.0
