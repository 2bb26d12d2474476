"""`weighbridge worker`: one process of a provider's pool."""

from typing import Annotated

import typer

from broker.cli.options import Config, Kafka


def worker(
    provider: Annotated[str, typer.Argument(help="Whose work it does, as named in the settings.")],
    slot: Annotated[
        int,
        typer.Option(min=0, help="Which worker of the pool; each running one has its own number."),
    ] = 0,
    config: Config = None,
    kafka: Kafka = None,
) -> None:
    """Call one provider for the work that is routed to it, until SIGTERM, which drains.

    A second signal ends it at once. It needs the topics (`weighbridge topics apply`).
    """
    from broker.cli.options import load
    from broker.telemetry.logs import configure_logs
    from workers.pool import run_worker

    settings = load(config, kafka)
    settings.provider(provider)
    configure_logs(settings.log.level, settings.log.format)
    run_worker(settings, provider, slot)
