"""`weighbridge simulator`: four clouds on one port, and what can be asked of a running one."""

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from broker.cli.options import AsJson, Config
from broker.cli.simulator_address import OneOrAll, Provider, Url, remote_of
from broker.cli.simulator_capacity import app as capacity
from broker.records.errors import UsageError

if TYPE_CHECKING:
    from broker.settings import Settings

app = typer.Typer(
    help="Simulated clouds with faults on request, for providers without a key.",
    invoke_without_command=True,
)
faults = typer.Typer(help="What goes wrong at a running simulator.", no_args_is_help=True)
app.add_typer(faults, name="faults")
app.add_typer(capacity, name="capacity")

_SPAN = re.compile(r"(?:([0-9]+(?:\.[0-9]+)?)-)?([0-9]+(?:\.[0-9]+)?)")


def _rate(text: str) -> Any:
    return typer.Option(min=0.0, max=1.0, metavar="RATE", help=f"Share of calls: {text}")


@app.callback()
def simulator(  # noqa: PLR0917 - typer makes an option of each
    context: typer.Context,
    host: Annotated[str, typer.Option(help="Listen at this address.")] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65_535, help="Default 8399, or that of simulator.url; 0: a free."),
    ] = None,
    config: Config = None,
    fast: Annotated[
        bool | None, typer.Option("--fast", help="No latencies, no bound on calls.")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="Divide all latencies by this; over 0.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed makes other chance.")] = None,
) -> None:
    """Serve every provider of the settings below /NAME, until SIGTERM.

    Each speaks its own dialect (`providers.NAME.dialect`): OpenAI's, Azure's, Google's or vLLM's
    paths, errors and headers, with real sentences of the asked length, pictures and embeddings.
    `[simulator]` in the settings holds latencies, capacity, limits and faults of each cloud.
    """
    if context.invoked_subcommand is not None:
        return
    from broker.settings import load_settings
    from broker.telemetry.logs import configure_logs
    from workers.simulator.process import run_simulator

    given = {"fast": fast, "speed": speed, "seed": seed}
    chosen = {name: value for name, value in given.items() if value is not None}
    settings = load_settings(config, simulator=chosen or None)
    configure_logs(settings.log.level, settings.log.format)
    run_simulator(settings, host, _port(settings) if port is None else port)


@faults.command("show")
def show(
    provider: OneOrAll = None, url: Url = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Say what goes wrong now, and which outages are to come."""
    found = remote_of(url, config).faults(provider)
    _tell_faults(found if provider is None else {provider: found}, as_json=as_json)


@faults.command("set")
def set_(  # noqa: PLR0917 - typer makes an option of each
    provider: Provider,
    rate_limited: Annotated[float | None, _rate("429 with Retry-After.")] = None,
    retry_after: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="What the 429 asks for.")
    ] = None,
    server_errors: Annotated[float | None, _rate("a 5xx.")] = None,
    status: Annotated[int | None, typer.Option(min=500, max=599, help="Which 5xx.")] = None,
    hangs: Annotated[float | None, _rate("never answered.")] = None,
    cuts: Annotated[float | None, _rate("connection reset before the answer.")] = None,
    cut_streams: Annotated[float | None, _rate("connection ends in the answer.")] = None,
    slow: Annotated[float | None, _rate("a few bytes at a time.")] = None,
    slow_gap: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Between slow bytes.")
    ] = None,
    malformed: Annotated[float | None, _rate("broken JSON.")] = None,
    stream_errors: Annotated[float | None, _rate("an error inside the answer.")] = None,
    refused: Annotated[float | None, _rate("the prompt is refused.")] = None,
    filtered: Annotated[float | None, _rate("the answer is filtered.")] = None,
    too_long: Annotated[float | None, _rate("the prompt is too long.")] = None,
    spent: Annotated[float | None, _rate("the quota or the credit is used up.")] = None,
    outage: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[FROM-]TO", help="Down from so many seconds from now to so many; repeatable."
        ),
    ] = None,
    outage_as: Annotated[
        str | None, typer.Option(help="What an outage's calls get: error, cut or hang.")
    ] = None,
    only: Annotated[
        bool, typer.Option("--only", help="End all faults that are not named.")
    ] = False,
    url: Url = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Let things go wrong at a provider from now on. Faults that are not named stay as they are."""
    asked = {
        "rate_limited": rate_limited,
        "retry_after_s": retry_after,
        "server_errors": server_errors,
        "server_error_status": status,
        "hangs": hangs,
        "cuts": cuts,
        "cut_streams": cut_streams,
        "slow": slow,
        "slow_gap_s": slow_gap,
        "malformed": malformed,
        "stream_errors": stream_errors,
        "refused": refused,
        "filtered": filtered,
        "too_long": too_long,
        "spent": spent,
        "outage_as": outage_as,
        "outages": [_span(text) for text in outage] if outage else None,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    if not given and not only:
        raise UsageError("No fault is named.", mend="`faults clear` ends all of a provider's.")
    found = remote_of(url, config).set_faults(provider, given, keep=not only)
    _tell_faults({provider: found}, as_json=as_json)


@faults.command("clear")
def clear(
    provider: OneOrAll = None, url: Url = None, config: Config = None, as_json: AsJson = False
) -> None:
    """End every fault and outage of a provider, or of all."""
    found = remote_of(url, config).clear_faults(provider)
    _tell_faults(found if provider is None else {provider: found}, as_json=as_json)


@app.command()
def served(  # noqa: PLR0917 - typer makes an option of each
    provider: OneOrAll = None,
    prompt_id: Annotated[
        str | None, typer.Option("--id", help="Also the calls of this prompt.")
    ] = None,
    ids: Annotated[
        bool, typer.Option("--ids", help="Also the calls of every prompt; for --json.")
    ] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Also calls and tokens of each second; for --json.")
    ] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Count from zero afterwards.")] = False,
    url: Url = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Say what a running simulator has served."""
    remote = remote_of(url, config)
    found = remote.served(provider, prompt_id=prompt_id, ids=ids, history=history)
    if reset:
        remote.forget_served()
    _tell_served(found, as_json=as_json)


def _port(settings: "Settings") -> int:
    from urllib.parse import urlsplit

    from workers.simulator.addresses import DEFAULT_PORT

    return urlsplit(settings.simulator.url or "").port or DEFAULT_PORT


def _span(text: str) -> dict[str, float]:
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise UsageError(
            f"--outage is {text!r}, which is no span of seconds.",
            mend="Give 8 for the next 8 seconds, or 5-13 for from 5 to 13 seconds from now.",
        )
    return {"from_s": float(found[1] or 0.0), "to_s": float(found[2])}


def _tell_faults(found: dict[str, dict[str, Any]], *, as_json: bool) -> None:
    from broker.cli.output import write, write_json

    if as_json:
        write_json(found)
        return
    for provider, shown in found.items():
        outages = shown.pop("outages")
        down = shown.pop("down")
        words = [
            f"{name} {shown[name]:.0%}" for name in shown if _is_rate(name) and shown[name] > 0
        ]
        words += [f"down {one['starts_at']} to {one['ends_at']}" for one in outages]
        state = "DOWN; " if down else ""
        write(f"{provider}: {state}{', '.join(words) or 'no faults'}")


def _is_rate(name: str) -> bool:
    from broker.settings.simulated import FAULT_RATES

    return name in FAULT_RATES


def _tell_served(found: dict[str, dict[str, Any]], *, as_json: bool) -> None:
    from broker.cli.output import console, table, write_json

    if as_json:
        write_json(found)
        return
    numbers = ("requests", "answered", "open", "peak", "ids")
    shown = table("provider", *numbers, "outcomes", right=numbers)
    for provider, totals in found.items():
        outcomes = ", ".join(f"{name} {count}" for name, count in totals["outcomes"].items())
        shown.add_row(provider, *(str(totals[name]) for name in numbers), outcomes)
    console().print(shown)
    for provider, totals in found.items():
        for prompt_id, calls in totals.get("by_id", {}).items():
            console().print(
                f"{prompt_id} at {provider}: {calls['begun']} begun, {calls['answered']} answered",
                markup=False,
            )
