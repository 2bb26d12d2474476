"""Whose simulated cloud is meant, and where the simulator runs."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from workers.simulator.remote import RemoteSimulator

Url = Annotated[
    str | None, typer.Option(metavar="URL", help="Where it runs; default the settings' or `up`'s.")
]
Provider = Annotated[str, typer.Argument(help="Whose cloud.")]
OneOrAll = Annotated[str | None, typer.Argument(help="Whose cloud; all without it.")]


def remote_of(url: str | None, config: Any) -> "RemoteSimulator":
    """The running simulator; raises UsageError for an address that is none."""
    from broker.settings import load_settings
    from broker.settings.loading import state_folder
    from workers.simulator.remote import RemoteSimulator, find_simulator

    return RemoteSimulator(url or find_simulator(load_settings(config), state_folder()))
