"""`weighbridge simulate`: policies tried on yesterday's log, or on a trace, in virtual time."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.options import AsJson, Config, Kafka
from broker.cli.output import console, say, write_json
from broker.records.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from broker.simulate.compare import Compared, Scenario


def simulate(
    *,
    from_log: Annotated[
        bool,
        typer.Option(
            "--from-log", help="Replay the prompts of the log, with providers fitted to it."
        ),
    ] = False,
    trace: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Replay a CSV of arrivals and token counts, or prompts as JSON lines; `conv` and "
            "`code` are shipped. May be given again.",
        ),
    ] = None,
    policy: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Settings to lay over the others; named as its file. May be given again.",
        ),
    ] = None,
    prompts: Annotated[
        int | None, typer.Option(min=1, help="So many prompts; a trace that is short begins again.")
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0.001, help="How many times as fast as they were recorded.")
    ] = 1.0,
    outage: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROVIDER:FROM-TO",
            help="It is down then, seconds from the first prompt. May be given again.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="With --from-log: from then on, as `audit` has it."),
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="With --from-log: before then.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is left to chance.")] = 1,
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a page with plots there.")
    ] = None,
    config: Config = None,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """Replay prompts through weighing, routing and dispatch in virtual time, by each policy.

    Nothing is written to Kafka and no provider is called. The same input and seed give the same
    figures. Latencies run from a prompt's acceptance to its completion.
    """
    from broker.settings import load_settings
    from broker.simulate.compare import compare
    from broker.simulate.outages import with_outages
    from broker.simulate.policies import read_policies
    from broker.simulate.scenarios import of_traces
    from broker.simulate.tables import tables

    if from_log == bool(trace):
        raise UsageError("It needs either --from-log or --trace FILE.", mend="Give one of them.")
    if trace and (since or until):
        raise UsageError("--since and --until belong to --from-log.", mend="Leave them out.")
    if from_log and (prompts is not None or speed != 1.0):
        raise UsageError("--prompts and --speed belong to --trace.", mend="Leave them out.")
    write_page = None if html is None else _page_writer(html)
    policies = tuple(
        replace(one, settings=with_outages(one.settings, outage or ()))
        for one in read_policies(config, tuple(policy or ()))
    )
    if trace:
        settings = load_settings(config)
        scenario = of_traces(settings, trace, prompts=prompts, speed=speed, seed=seed)
    else:
        scenario = _of_log(config, kafka, since, until, seed)
    compared = compare(scenario, policies, say)
    say(f"{compared.prompts_s:,.0f} prompts a second of CPU time")
    if as_json:
        write_json(compared.as_json(scenario))
    else:
        out = console()
        out.print(f"[bold]{len(scenario.prompts):,}[/] prompts of {scenario.sources}")
        for note in scenario.notes:
            out.print(note, markup=False)
        out.print(tables(compared.results))
    if write_page is not None:
        write_page(scenario, compared, outage or ())
        say(f"The page is {html}.")


def _of_log(
    config: Path | None, kafka: str | None, since: str | None, until: str | None, seed: int
) -> "Scenario":
    from broker.cli.options import load, moment
    from broker.cli.output import reading_progress
    from broker.simulate.from_log import read_log
    from broker.simulate.scenarios import of_log

    start, end = moment(since, "--since"), moment(until, "--until")
    if start is not None and end is not None and start >= end:
        raise UsageError("--since is not before --until.", mend="Give an earlier --since.")
    settings = load(config, kafka)
    with reading_progress() as progress:
        return of_log(read_log(settings, since=start, until=end, progress=progress), seed)


def _page_writer(html: Path) -> "Callable[[Scenario, Compared, Sequence[str]], None]":
    """What writes the page; it fails before the long replay where it could not do so after it."""
    from broker.simulate.page import page
    from broker.simulate.plots import require_plots

    require_plots()

    def write(scenario: "Scenario", compared: "Compared", outages: "Sequence[str]") -> None:
        try:
            html.write_text(page(scenario, compared, outages), "utf-8")
        except OSError as error:
            raise UsageError(
                f"The page {html} cannot be written: {error.strerror}.", mend="Name another file."
            ) from error

    return write
