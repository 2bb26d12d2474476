"""`weighbridge classifier`: one process that weighs and routes prompts."""

from typing import Annotated

import typer

from broker.cli.options import Config, Kafka, load


def classifier(
    slot: Annotated[
        int,
        typer.Option(min=0, help="Which classifier this is; each running one has its own number."),
    ] = 0,
    config: Config = None,
    kafka: Kafka = None,
) -> None:
    """Read prompts, weigh and route them, and write the work; until SIGTERM, which drains.

    A second signal ends it at once. It needs the topics (`weighbridge topics apply`).
    """
    from broker.classifier.process import run_classifier
    from broker.telemetry.logs import configure_logs

    settings = load(config, kafka)
    configure_logs(settings.log.level, settings.log.format)
    run_classifier(settings, slot)
