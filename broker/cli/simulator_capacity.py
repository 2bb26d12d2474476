"""`weighbridge simulator capacity`: how much a running simulator's clouds take."""

from typing import Annotated, Any

import typer

from broker.cli.options import AsJson, Config
from broker.cli.simulator_address import OneOrAll, Provider, Url, remote_of
from broker.records.errors import UsageError

app = typer.Typer(
    help="How much the clouds of a running simulator take, and how fast they are.",
    no_args_is_help=True,
)
_NO_LIMIT = 0
_LIMITS = ("concurrency", "requests_per_minute", "tokens_per_minute")


@app.command("show")
def show(
    provider: OneOrAll = None, url: Url = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Say what each cloud takes now."""
    found = remote_of(url, config).capacity(provider)
    _tell(found if provider is None else {provider: found}, as_json=as_json)


@app.command("set")
def set_(  # noqa: PLR0917 - typer makes an option of each
    provider: Provider,
    slots: Annotated[
        int | None, typer.Option(min=1, help="Calls that are answered at the same time.")
    ] = None,
    queue: Annotated[int | None, typer.Option(min=0, help="Calls that wait for a slot.")] = None,
    concurrency: Annotated[
        int | None, typer.Option(min=0, help="Calls taken at once; one more is a 429. 0: any.")
    ] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(min=0, help="0: without this limit.")
    ] = None,
    tokens_per_minute: Annotated[
        int | None, typer.Option(min=0, help="0: without this limit.")
    ] = None,
    each_model: Annotated[
        bool | None,
        typer.Option("--each-model/--together", help="Whose the limits per minute are."),
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="Divide its latencies by this; over 0.")
    ] = None,
    url: Url = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Change what a cloud takes from now on. What is not named stays as it is."""
    asked: dict[str, float | None] = {
        "slots": slots,
        "queue": queue,
        "concurrency": concurrency,
        "requests_per_minute": requests_per_minute,
        "tokens_per_minute": tokens_per_minute,
        "each_model": each_model,
        "speed": speed,
    }
    given = {
        name: None if name in _LIMITS and value == _NO_LIMIT else value
        for name, value in asked.items()
        if value is not None
    }
    if not given:
        raise UsageError("Nothing is to be changed.", mend="Name one, such as --slots 8.")
    _tell({provider: remote_of(url, config).set_capacity(provider, **given)}, as_json=as_json)


@app.command("reset")
def reset(
    provider: OneOrAll = None, url: Url = None, config: Config = None, as_json: AsJson = False
) -> None:
    """Give a cloud back what the settings say, or all clouds."""
    found = remote_of(url, config).reset_capacity(provider)
    _tell(found if provider is None else {provider: found}, as_json=as_json)


def _tell(found: dict[str, dict[str, Any]], *, as_json: bool) -> None:
    from broker.cli.output import write, write_json

    if as_json:
        write_json(found)
        return
    for provider, shown in found.items():
        words = [f"{name.replace('_', ' ')} {_shown(value)}" for name, value in shown.items()]
        write(f"{provider}: {', '.join(words)}")


def _shown(value: float | bool | None) -> str:
    if value is None:
        return "any"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"
