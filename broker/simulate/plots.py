"""The plots of a comparison, as SVG. They need the extra `plots` (matplotlib)."""

import io
import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Final

from broker.core.lanes import LANES
from broker.records.errors import UsageError
from broker.simulate.figures import QUANTILES, STEP_S, Figures

Named = Sequence[tuple[str, Figures]]

_COLOURS: Final = (
    *("#4477aa", "#ee6677", "#228833", "#ccbb44", "#66ccee", "#aa3377", "#bbbbbb"),
    *("#000000", "#999933", "#882255"),
)
"""Told apart by the colour-blind as well (Paul Tol's bright scheme, and three more)."""
_STYLE: Final[Any] = {
    "svg.hashsalt": "weighbridge",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "axes.axisbelow": True,
}
_MS: Final = 1_000.0
_WIDTH: Final = 8.6


def require_plots() -> None:
    """Raise UsageError that says what to install where it is missing."""
    if find_spec("matplotlib") is None:
        raise UsageError(
            "Plots need matplotlib, which is not installed.",
            mend="Install the extra: pip install 'weighbridge[plots]'. Tables and --json do "
            "without it.",
            code="no_plots",
        )


def lanes_plot(results: Named) -> str:
    """p50, p95 and p99 of each lane, policies side by side; a logarithmic scale."""
    lanes = [lane for lane in LANES if any(lane in one.lanes for _, one in results)]

    def draw(figure: Any) -> None:
        for place, lane in enumerate(lanes):
            axes = figure.add_subplot(1, len(lanes), place + 1)
            for number, (_, one) in enumerate(results):
                spread = one.lanes.get(lane)
                values = [0.0 if spread is None else getattr(spread, q) or 0.0 for q in QUANTILES]
                for value, clear in zip(values, (1.0, 0.7, 0.4), strict=True):
                    axes.bar(
                        number,
                        value / _MS,
                        width=0.8 * (0.4 + 0.6 * clear),
                        color=_COLOURS[number % len(_COLOURS)],
                        alpha=clear * 0.9,
                        zorder=2 + clear,
                    )
            axes.set_yscale("log")
            axes.set_title(lane)
            axes.set_xticks(range(len(results)))
            axes.set_xticklabels([name for name, _ in results], rotation=45, ha="right")
            if place == 0:
                axes.set_ylabel("seconds: p50, p95, p99 (from wide to narrow)")

    return _svg(draw, height=3.9)


def line_plot(results: Named, outages: Sequence[tuple[str, float, float]] = ()) -> str:
    """The p95 of the prompts that came in each minute; outages are shaded."""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for number, (name, one) in enumerate(results):
            axes.plot(
                [place * STEP_S / 60.0 for place in range(len(one.line))],
                [None if spread.p95 is None else spread.p95 / _MS for spread in one.line],
                label=name,
                color=_COLOURS[number % len(_COLOURS)],
                linewidth=1.4,
            )
        for provider, begins, ends in outages:
            axes.axvspan(begins / 60.0, ends / 60.0, color="#bb5566", alpha=0.15, linewidth=0)
            axes.text(begins / 60.0, 1.01, f"{provider} down", transform=_above(axes), fontsize=8)
        axes.set_yscale("log")
        axes.set_xlabel("minutes since the first prompt")
        axes.set_ylabel("p95 of that minute's prompts, seconds")
        axes.legend(ncols=3, fontsize=8, frameon=False, loc="best")

    return _svg(draw, height=3.6)


def shares_plot(results: Named) -> str:
    """Which provider answered how much, and what all of it cost."""
    providers = list(dict.fromkeys(name for _, one in results for name in one.providers))

    def draw(figure: Any) -> None:
        shares, costs = figure.subplots(1, 2, sharey=True)
        places = range(len(results))
        left = [0.0] * len(results)
        for number, provider in enumerate(providers):
            values = [
                one.providers[provider].share * 100 if provider in one.providers else 0.0
                for _, one in results
            ]
            shares.barh(
                places, values, left=left, label=provider, color=_COLOURS[number], alpha=0.85
            )
            left = [a + b for a, b in zip(left, values, strict=True)]
        shares.set_yticks(places)
        shares.set_yticklabels([name for name, _ in results])
        shares.invert_yaxis()
        shares.set_xlabel("% of the answers")
        shares.legend(
            ncols=2, fontsize=8, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1)
        )
        costs.barh(places, [one.cost_usd for _, one in results], color="#777777", alpha=0.85)
        costs.set_xlabel("US dollars at list prices")

    return _svg(draw, height=0.9 + 0.36 * len(results))


def _above(axes: Any) -> Any:
    return axes.get_xaxis_transform()


def _svg(draw: Callable[[Any], None], height: float) -> str:
    """The plot as an SVG element; the same for the same figures."""
    import matplotlib as mpl  # noqa: PLC0415 - an extra
    from matplotlib.figure import Figure  # noqa: PLC0415 - an extra

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        draw(figure)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return re.sub(r"\A.*?(?=<svg)", "", out.getvalue(), flags=re.DOTALL)
