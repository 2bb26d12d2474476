"""The comparison as one page of HTML: nothing in it is fetched from anywhere."""

from collections.abc import Sequence
from html import escape
from typing import Final

from broker.core.lanes import LANES
from broker.simulate.compare import Compared, Scenario
from broker.simulate.figures import QUANTILES, Figures, Spread
from broker.simulate.outages import outage_of
from broker.simulate.plots import lanes_plot, line_plot, shares_plot
from broker.simulate.tables import seconds

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child { text-align: left }
thead th { border-bottom: 2px solid #999 }
svg { width: 100%; height: auto }
figure { margin: 1.5rem 0 } figcaption { color: #555 }
.note { color: #555; margin: .2rem 0 }
.bad { color: #b00020; font-weight: bold }
"""
_MOST_TENANTS: Final = 50


def page(scenario: Scenario, compared: Compared, outages: Sequence[str] = ()) -> str:
    """The whole page; the same for the same input."""
    results = compared.results
    spans = [outage_of(text) for text in outages]
    down = "".join(
        f"<p class=note>{escape(name)} is down from second {begins:g} to {ends:g}.</p>"
        for name, begins, ends in spans
    )
    notes = "".join(f"<p class=note>{escape(note)}</p>" for note in scenario.notes)
    parts = [
        f"<h1>Weighbridge: {len(results)} policies on the same prompts</h1>",
        _what(scenario),
        notes,
        down,
        _whole(results),
        _figure(lanes_plot(results), "By lane, on a logarithmic scale."),
        _figure(line_plot(results, spans), "How steady it was."),
        _figure(shares_plot(results), "Who answered, and what all calls cost."),
        "<h2>By lane</h2>",
        _by(
            "lane",
            [(lane, [(name, one.lanes.get(lane)) for name, one in results]) for lane in LANES],
        ),
        "<h2>By tenant</h2>",
        _by("tenant", _tenants(results)),
        "<h2>Without an answer</h2>",
        _lost(results),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<title>Weighbridge: policies compared</title>"
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _what(scenario: Scenario) -> str:
    return (
        f"<p>{len(scenario.prompts):,} prompts of {escape(scenario.sources)}, seed "
        f"{scenario.seed}. Times run from a prompt's acceptance to its completion, of answered "
        "prompts.</p>"
    )


def _figure(svg: str, caption: str) -> str:
    return f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are text; one that begins with `!` is bad news."""
    heads = "".join(f"<th>{escape(one)}</th>" for one in head)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _cell(text: str) -> str:
    if text.startswith("!"):
        return f"<td class=bad>{escape(text[1:])}</td>"
    return f"<td>{escape(text)}</td>"


def _quantiles(spread: Spread | None) -> list[str]:
    return [seconds(None if spread is None else getattr(spread, name)) for name in QUANTILES]


def _whole(results: Sequence[tuple[str, Figures]]) -> str:
    rows = []
    for name, one in results:
        lost = one.prompts - one.latency.count
        rows.append(
            [
                name,
                f"{one.latency.count:,}",
                *_quantiles(one.latency),
                seconds(one.worst_minute_p95),
                f"{one.cost_usd:.4f}",
                f"{one.calls:,}",
                f"{one.moves:,}",
                f"!{lost:,}" if lost else "0",
            ]
        )
    head = ("policy", "answered", *QUANTILES, "worst minute's p95", "cost USD", "calls", "moves")
    return _table((*head, "not answered"), rows)


def _by(what: str, parts: Sequence[tuple[str, Sequence[tuple[str, Spread | None]]]]) -> str:
    rows = [
        [f"{key}: {name}", f"{spread.count:,}", *_quantiles(spread)]
        for key, found in parts
        for name, spread in found
        if spread is not None
    ]
    return _table((f"{what}: policy", "answered", *QUANTILES), rows)


def _tenants(
    results: Sequence[tuple[str, Figures]],
) -> list[tuple[str, list[tuple[str, Spread | None]]]]:
    counts: dict[str, int] = {}
    for _, one in results:
        for name, spread in one.tenants.items():
            counts[name] = max(counts.get(name, 0), spread.count)
    busiest = sorted(counts, key=lambda name: (-counts[name], name))[:_MOST_TENANTS]
    return [(key, [(name, one.tenants.get(key)) for name, one in results]) for key in busiest]


def _lost(results: Sequence[tuple[str, Figures]]) -> str:
    rows = [
        [name, code, f"{count:,}"] for name, one in results for code, count in one.refusals.items()
    ]
    return _table(("policy", "code", "prompts"), rows) if rows else "<p>Every prompt has one.</p>"
