"""`python -m broker.cli` is `weighbridge`."""

from broker.cli.main import run

run()
