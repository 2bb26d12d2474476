"""`weighbridge topics`: what should be, what is, and what would change."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from broker.cli.options import AsJson, Config, Kafka, load
from broker.cli.output import write, write_json

if TYPE_CHECKING:
    from broker.log.topics import TopicChange
    from broker.settings import Settings

app = typer.Typer(help="Topics: what should be, what is, what would change.", no_args_is_help=True)

_DONE = {"create": "created", "grow": "grown", "configure": "configured"}


@app.command()
def plan(config: Config = None, kafka: Kafka = None, as_json: AsJson = False) -> None:
    """Say what `apply` would change. Changes nothing; exit code 1 when it would refuse."""
    from broker.log.topics import plan_changes

    changes = _with_settings(plan_changes, config, kafka)
    _tell(changes, as_json=as_json, words={}, nothing="all topics are as planned")
    if any(change.action == "refuse" for change in changes):
        raise typer.Exit(1)


@app.command()
def apply(config: Config = None, kafka: Kafka = None, as_json: AsJson = False) -> None:
    """Create and grow topics to the plan. Never shrinks; refuses what would break lanes."""
    from broker.log.topics import apply_topics

    changes = _with_settings(apply_topics, config, kafka)
    _tell(changes, as_json=as_json, words=_DONE, nothing="all topics were as planned")


def _with_settings(
    act: "Callable[[Settings, Mapping[str, Any]], tuple[TopicChange, ...]]",
    config: Path | None,
    kafka: str | None,
) -> "tuple[TopicChange, ...]":
    from broker.log.clients import admin_config

    settings = load(config, kafka)
    return act(settings, admin_config(settings, log_level=0))


def _tell(
    changes: "Iterable[TopicChange]", *, as_json: bool, words: Mapping[str, str], nothing: str
) -> None:
    rows = [
        {
            "topic": change.topic,
            "action": words.get(change.action, change.action),
            "partitions": change.planned.partitions,
            "replication": change.planned.replication,
            "config": dict(change.config or change.planned.config),
            "reason": change.reason,
        }
        for change in changes
    ]
    if as_json:
        write_json({"changes": rows})
        return
    for row in rows:
        write(f"{row['action']:<10} {row['topic']}: {row['reason']}")
    if not rows:
        write(nothing)
