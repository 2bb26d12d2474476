"""`weighbridge local-model`: a model on this machine, served by llama.cpp."""

from pathlib import Path
from typing import Annotated

import typer

from broker.cli.options import Config


def local_model(
    file: Annotated[Path, typer.Argument(metavar="FILE.gguf", help="The model.")],
    host: Annotated[str, typer.Option(help="Listen at this address.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65_535, help="Listen at this port.")] = 8398,
    config: Config = None,
) -> None:
    """Serve a GGUF model with llama.cpp at /v1/chat/completions, until SIGTERM.

    `up --local-model FILE` starts it. The section local_model of the settings says how many calls
    it answers at once, and how long prompt and answer of each may be.
    """
    from broker.cli.output import say
    from broker.settings import load_settings
    from broker.supervisor.model_server import ModelServer, model_file, serve_model

    given = load_settings(config).local_model
    path = model_file(file)
    serve_model(
        ModelServer(path, path.stem, host, port, given.slots, given.context_tokens),
        lambda url: say(f"llama.cpp serves {path.stem} at {url}"),
    )
