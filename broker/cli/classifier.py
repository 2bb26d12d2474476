"""`weighbridge classifier`: one process that weighs and routes prompts."""

from pathlib import Path
from typing import Annotated

import typer


def classifier(
    slot: Annotated[
        int,
        typer.Option(min=0, help="Which classifier this is; each running one has its own number."),
    ] = 0,
    config: Annotated[
        Path | None, typer.Option(help="Settings file; default weighbridge.toml here.")
    ] = None,
    kafka: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Use this broker, not the embedded one.")
    ] = None,
) -> None:
    """Read prompts, weigh and route them, and write the work; until SIGTERM, which drains.

    A second signal ends it at once. It needs the topics (`weighbridge topics apply`).
    """
    from broker.classifier.process import run_classifier
    from broker.settings import load_settings
    from broker.telemetry.logs import configure_logs

    given = {} if kafka is None else {"kafka": {"bootstrap": kafka}}
    settings = load_settings(config, **given)
    configure_logs(settings.log.level, settings.log.format)
    run_classifier(settings, slot)
