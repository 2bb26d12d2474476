"""`weighbridge audit`: prompts against completions, from the topics alone."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker.cli.options import AsJson, Config, Kafka, load, moment
from broker.cli.output import console, dollars, milliseconds, reading_progress, table, write_json
from broker.records.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from broker.story.audit_run import AuditResult

FAULT = 4
"""Exit code when a prompt was lost or answered twice."""


def audit(
    *,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Prompts from then on: RFC 3339, or 10m, 2h, 1d ago."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Prompts before then, said in the same way.")
    ] = None,
    grace: Annotated[
        float,
        typer.Option(min=0.0, help="Seconds until a prompt without a deadline can be lost."),
    ] = 60.0,
    config: Config = None,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """Count prompts against completions. Exit code 4 when one was lost or answered twice.

    It reads the topics read-committed up to where they are now, and changes nothing.
    """
    from broker.story.audit_run import run_audit

    start, end = moment(since, "--since"), moment(until, "--until")
    if start is not None and end is not None and start >= end:
        raise UsageError("--since is not before --until.", mend="Give an earlier --since.")
    settings = load(config, kafka)
    with reading_progress() as progress:
        result = run_audit(settings, grace_s=grace, since=start, until=end, progress=progress)
    if as_json:
        write_json(result.figures.counts)
    else:
        show(result, console())
    if not result.figures.sound:
        raise typer.Exit(FAULT)


def show(result: "AuditResult", out: "Console") -> None:
    """The audit for a person."""
    counts = result.figures.counts
    sound = result.figures.sound
    verdict = (
        "[green]every prompt that is due has exactly one completion[/]"
        if sound
        else "[bold red]a prompt was lost or answered more than once[/]"
    )
    out.print(f"[bold]{counts['accepted']:,}[/] prompts accepted: {verdict}\n")
    summary = table("", "count", right=("count",))
    for name, label in _LABELS.items():
        count = counts[name]
        bad = name in {"lost", "duplicates"} and count
        summary.add_row(label, f"[bold red]{count:,}[/]" if bad else f"{count:,}")
    for status, count in counts["statuses"].items():
        summary.add_row(f"  of the completed {status}", f"{count:,}")
    for code, count in counts["choices"].items():
        summary.add_row(f"  providers chosen as {code}", f"{count:,}")
    for code, count in counts["not_routed"].items():
        summary.add_row(f"  not routed as {code}", f"{count:,}")
    summary.add_row("cost, USD", dollars(counts["cost_usd"]))
    summary.add_row("  of it for repeats", dollars(counts["repeats_cost_usd"]))
    out.print(summary)
    if counts["losses"]:
        out.print(_lost(counts["losses"]))
    for title in ("providers", "lanes"):
        if counts[title]:
            out.print(_by(title.removesuffix("s"), counts[title]))
    spread = counts["latency_ms"]
    if spread["p50"] is not None:
        told = ", ".join(f"{name} {milliseconds(value)}" for name, value in spread.items())
        out.print(f"From accepted to completed: {told}.")
    for note in _notes(result):
        out.print(note)


_LABELS = {
    "accepted": "accepted (distinct ids)",
    "duplicate_inputs": "duplicate inputs, dropped",
    "completed": "completed",
    "pending": "pending",
    "lost": "lost",
    "duplicates": "duplicate completions",
    "dead_lettered": "dead letters",
    "calls": "provider calls",
    "repeated_calls": "repeated calls",
    "calls_without_end": "calls cut off by a crash",
    "moves": "moves",
}


def _lost(losses: dict[str, dict[str, int]]) -> Any:
    """How often each provider lost a choice, by the code of why."""
    made = table("not chosen", "times, by why")
    for name, codes in losses.items():
        made.add_row(name, ", ".join(f"{count:,} {code}" for code, count in codes.items()))
    return made


def _by(what: str, rows: dict[str, dict[str, Any]]) -> Any:
    numbers = ("completed", "calls", "in", "out", "cost USD", "p50", "p95", "p99")
    made = table(what, *numbers, right=numbers)
    for name, row in rows.items():
        counts = (row["completed"], row["calls"], row["moves_in"], row["moves_out"])
        made.add_row(
            name,
            *(f"{count:,}" for count in counts),
            dollars(row["cost_usd"]),
            *(milliseconds(value) for value in row["latency_ms"].values()),
        )
    return made


def _notes(result: "AuditResult") -> list[str]:
    notes = []
    counts = result.figures.counts
    if counts["calls_without_end"]:
        notes.append(f"What the {counts['calls_without_end']:,} calls cut off cost is not known.")
    if counts["calls_of_unknown_cost"]:
        notes.append(
            f"The cost of {counts['calls_of_unknown_cost']:,} calls is not known and left out: "
            "they gave no whole answer, or have no price (`weighbridge config check` names those)."
        )
    if counts["cost_estimated"]:
        notes.append("Some costs are estimates: those providers did not tell what was used.")
    for ids, what in ((result.lost_ids, "Lost"), (result.doubled_ids, "Completed too often")):
        if ids:
            notes.append(f"[red]{what}:[/] {', '.join(ids)}. `weighbridge trace ID` tells more.")
    if result.unread:
        notes.append(
            f"{result.unread:,} records of the prompts have not been taken up by the classifier "
            "yet: is one running?"
        )
    if result.unknown:
        notes.append(f"{result.unknown:,} completions belong to prompts that are not in the topic.")
    if result.unreadable:
        notes.append(
            f"[yellow]{result.unreadable:,} records in our topics are not in the contract's "
            "form;[/] something else wrote them."
        )
    return notes
