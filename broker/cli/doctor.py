"""`weighbridge doctor`: what is wrong, and how to mend it."""

from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.options import AsJson, Config, Kafka, load_for_up
from broker.cli.output import console, table, write_json
from broker.records.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from broker.cli.examination.finding import Examiner, Finding
    from broker.settings import Settings

DEADLINE_S = 12.0
LIVE_DEADLINE_S = 40.0
"""Longer than one call may take, signing in included."""
NOT_WELL = 3
"""Exit code when there is a problem."""
_SIGNS = {"ok": "[green]ok[/]", "warning": "[yellow]warning[/]", "problem": "[bold red]problem[/]"}


def doctor(
    config: Config = None,
    kafka: Kafka = None,
    live: Annotated[
        bool, typer.Option("--live", help="Make one cheap call of each provider, too.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look at this machine, the broker, the topics, the processes, the store and the providers.

    A small object is written to the store and removed again; nothing else is changed, and without
    --live no provider is called. Exit code 3 when there is a problem.
    """
    from functools import partial

    from broker.cli.examination.clouds import address_examiners, examine_providers
    from broker.cli.examination.cluster import examine_cluster
    from broker.cli.examination.finding import examine, failed, ok
    from broker.cli.examination.machine import examine_machine
    from broker.cli.examination.running_here import as_it_runs, examine_running
    from broker.cli.examination.store import store_examiners
    from broker.log.clients import EMBEDDED
    from broker.settings.advice import advice_on
    from broker.settings.loading import settings_file
    from broker.settings.origins import Origins

    examiners: dict[str, Examiner] = {}
    try:
        settings = as_it_runs(load_for_up(config, kafka))
    except UsageError as error:
        if error.code != "invalid_settings":
            # The command line itself is wrong, not what is to be looked at.
            raise
        found = [failed("settings", error)]
        examiners = {"machine": partial(examine_machine, embedded=True)}
    else:
        found = [ok("settings", "valid (`weighbridge config check` tells more)")]
        doubts = advice_on(settings, Origins(settings_file(config)))
        embedded = settings.kafka.bootstrap == EMBEDDED
        examiners = {
            "machine": partial(examine_machine, embedded=embedded),
            "broker": partial(examine_cluster, settings),
            "providers": partial(examine_providers, settings, doubts),
            **store_examiners(settings),
            **address_examiners(settings),
            **(_calls(settings) if live else {}),
        }
    examiners["up"] = examine_running
    found += examine(examiners, deadline_s=LIVE_DEADLINE_S if live else DEADLINE_S)
    problems = sum(finding.level == "problem" for finding in found)
    if as_json:
        write_json({"well": not problems, "checks": [finding.as_json() for finding in found]})
    else:
        _show(found, problems)
    if problems:
        raise typer.Exit(NOT_WELL)


def _calls(settings: "Settings") -> "dict[str, Examiner]":
    from broker.cli.examination.live import call_examiners

    return call_examiners(settings)


def _show(found: "Sequence[Finding]", problems: int) -> None:
    from rich.markup import escape

    shown = table("", "", "")
    shown.show_header = False
    for finding in found:
        mend = f"\n[bold]{escape(finding.mend)}[/]" if finding.mend else ""
        shown.add_row(_SIGNS[finding.level], finding.check, f"{escape(finding.text)}{mend}")
    out = console()
    out.print(shown)
    warnings = sum(finding.level == "warning" for finding in found)
    out.print(f"{problems} to mend, {warnings} to look at, {len(found)} checked.")
