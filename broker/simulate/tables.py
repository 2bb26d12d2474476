"""Several policies side by side, for a terminal."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from broker.core.lanes import LANES
from broker.simulate.figures import QUANTILES, Figures, Spread

_MOST_TENANTS: Final = 10
_BAR: Final = 24
_MS: Final = 1_000.0
_LONG_S: Final = 100.0
_MEANS: Final = "worst: the highest p95 of a minute's prompts; lost: prompts without an answer"

Named = Sequence[tuple[str, Figures]]


def tables(results: Named) -> RenderableType:
    """Everything that a person compares."""
    parts: list[RenderableType] = [_whole(results), _by("lane", results, _lanes)]
    tenants = _busiest(results)
    parts.append(_by("tenant", results, lambda one: {n: one.tenants.get(n) for n in tenants}))
    parts.append(_providers(results))
    parts.append(_bars(results))
    notes = [text for name, one in results for text in _notes(name, one)]
    parts[1:1] = [Text(_MEANS, style="dim")]
    return Group(*parts, *(Text(text, style="dim") for text in notes))


def _table(*columns: str, left: int = 1) -> Table:
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    for number, name in enumerate(columns):
        made.add_column(name, justify="left" if number < left else "right", no_wrap=True)
    return made


def _whole(results: Named) -> Table:
    made = _table(
        *("policy", "answered", "p50", "p95", "p99", "worst", "USD", "moves", "lost"),
    )
    for name, one in results:
        lost = one.prompts - one.latency.count
        made.add_row(
            name,
            f"{one.latency.count:,}",
            *_quantiles(one.latency),
            seconds(one.worst_minute_p95),
            f"{one.cost_usd:.3f}",
            f"{one.moves:,}",
            Text(f"{lost:,}", style="bold red" if lost else ""),
        )
    return made


def _lanes(one: Figures) -> Mapping[str, Spread | None]:
    return {lane: one.lanes.get(lane) for lane in LANES if lane in one.lanes}


def _busiest(results: Named) -> list[str]:
    """The tenants with most answers, so many that a terminal shows them."""
    counts: dict[str, int] = {}
    for _, one in results:
        for name, spread in one.tenants.items():
            counts[name] = max(counts.get(name, 0), spread.count)
    return sorted(counts, key=lambda name: (-counts[name], name))[:_MOST_TENANTS]


def _by(
    what: str, results: Named, rows_of: Callable[[Figures], Mapping[str, Spread | None]]
) -> Table:
    made = _table(what, "policy", "answered", *QUANTILES, left=2)
    rows = {name: rows_of(one) for name, one in results}
    keys = list(dict.fromkeys(key for found in rows.values() for key in found))
    if what == "lane":
        keys.sort(key=LANES.index)
    for key in keys:
        for number, (name, found) in enumerate(rows.items()):
            spread = found.get(key)
            count = "0" if spread is None else f"{spread.count:,}"
            cells = ("-", "-", "-") if spread is None else _quantiles(spread)
            last = number == len(rows) - 1
            made.add_row("" if number else key, name, count, *cells, end_section=last)
    return made


def _providers(results: Named) -> Table:
    made = _table("provider", "policy", "answered", "share", "moved in", "out", "USD", left=2)
    keys = list(dict.fromkeys(key for _, one in results for key in one.providers))
    for key in keys:
        shown = [(name, one.providers[key]) for name, one in results if key in one.providers]
        for number, (name, part) in enumerate(shown):
            made.add_row(
                "" if number else key,
                name,
                f"{part.answered:,}",
                f"{part.share:.0%}",
                f"{part.moves_in:,}",
                f"{part.moves_out:,}",
                f"{part.cost_usd:.3f}",
                end_section=number == len(shown) - 1,
            )
    return made


def _bars(results: Named) -> Table:
    """The p95 of each lane as a bar, so that the best is seen at once."""
    made = _table("p95", "policy", "", "", left=3)
    made.columns[3].justify = "right"
    for lane in LANES:
        shown = [(name, one.lanes[lane].p95) for name, one in results if lane in one.lanes]
        longest = max((ms for _, ms in shown if ms is not None), default=0.0)
        for number, (name, ms) in enumerate(shown):
            length = round(_BAR * (ms or 0.0) / longest) if longest else 0
            made.add_row(
                "" if number else lane,
                name,
                Text("█" * max(1, length), style="cyan"),
                seconds(ms),
                end_section=number == len(shown) - 1,
            )
    return made


def _quantiles(spread: Spread) -> list[str]:
    return [seconds(getattr(spread, name)) for name in QUANTILES]


def seconds(ms: float | None) -> str:
    """Milliseconds as a person reads them."""
    if ms is None:
        return "-"
    value = ms / _MS
    if value < _LONG_S:
        return f"{value:.2f}s"
    whole = round(value)
    return f"{whole // 60}m{whole % 60:02}s"


def _notes(name: str, one: Figures) -> list[str]:
    notes = []
    if one.refusals:
        told = ", ".join(f"{code} {count:,}" for code, count in one.refusals.items())
        notes.append(f"{name}: without an answer: {told}.")
    if one.moved:
        told = ", ".join(f"{way} {count:,}" for way, count in one.moved.items())
        notes.append(f"{name}: moves: {told}.")
    if one.cost_unknown:
        notes.append(f"{name}: the cost of {one.cost_unknown:,} prompts is not known.")
    return notes
