"""`weighbridge store`: the pictures and large answers that lie outside the topics."""

import asyncio
import time
from mimetypes import guess_type
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from broker.cli.options import AsJson, Config, Kafka, load, moment
from broker.cli.output import reading_progress, say, write, write_json
from broker.records.errors import UsageError
from broker.records.times import to_rfc3339

if TYPE_CHECKING:
    from broker.story.store_sweep import Swept

app = typer.Typer(help="The store: pictures, and answers too large for a record.")


@app.callback(invoke_without_command=False)
def _group() -> None:
    pass


@app.command("list")
def list_objects(*, config: Config = None, kafka: Kafka = None, as_json: AsJson = False) -> None:
    """List what lies in the store for this cluster and kafka.prefix: time, bytes, URL."""
    from broker.store.claims import own_objects
    from broker.story.store_sweep import deployment_folder, listed

    settings = load(config, kafka)
    folder = deployment_folder(settings)
    objects = own_objects(settings.store)
    found = asyncio.run(listed(objects, folder))
    for one in found:
        url, at = f"{objects.root}/{one.name}", to_rfc3339(one.modified)
        if as_json:
            write_json({"url": url, "size": one.size, "modified": at})
        else:
            write(f"{at}  {one.size:>12,}  {url}")
    if not as_json:
        say(f"{len(found):,} objects, {sum(one.size for one in found):,} bytes.")


@app.command()
def put(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Files to put there.")],
    *,
    config: Config = None,
    kafka: Kafka = None,
) -> None:
    """Put files into the store, and print for each the reference that a prompt can give.

    A reference is a JSON object: it may stand for the text of a prompt, or in a
    part of a message. `store gc` removes what was put when it is old and no
    prompt that waits refers to it.
    """
    from broker.store.claims import ClaimStore
    from broker.store.media import UNKNOWN, sniffed
    from broker.story.store_sweep import deployment_folder

    settings = load(config, kafka)
    contents = [(file, _read(file)) for file in files]
    store = ClaimStore(settings.store, deployment_folder(settings))
    for file, data in contents:
        kind = sniffed(data) or guess_type(file.name)[0] or UNKNOWN
        write_json(asyncio.run(store.put(data, kind)).as_json())


def _read(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(
            f"The file {file} cannot be read: {error.strerror}.", mend="Nothing was put."
        ) from error
    if not data:
        raise UsageError(f"The file {file} is empty.", mend="Nothing was put.")
    return data


@app.command()
def gc(
    *,
    older_than: Annotated[
        str, typer.Option(metavar="AGE", help="Only what was written so long ago: 24h, 7d.")
    ] = "24h",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Name what would be removed, and remove nothing.")
    ] = False,
    config: Config = None,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """Remove objects that no completion refers to, nor any prompt that waits.

    Such are left by workers that were killed between a write and its commit, and by completions
    that the topic has dropped by its retention. Whatever AGE is, nothing is removed that is
    younger than the oldest work still to be done: its answer may be on the way to a completion.

    Only objects that were written for this cluster and this kafka.prefix are looked at. AGE is at
    least 2h. The names of what is removed are printed.
    """
    from broker.story.store_sweep import SHORTEST_S, sweep

    before = moment(older_than, "--older-than") or 0.0
    if time.time() - before < SHORTEST_S - 1:
        raise UsageError(
            f"--older-than is {older_than}, and must be at least {SHORTEST_S / 3600:.0f}h.",
            mend="What was just written may be about to be referred to; give a longer time.",
        )
    settings = load(config, kafka)
    with reading_progress() as progress:
        swept = sweep(settings, before=before, dry_run=dry_run, progress=progress)
    if as_json:
        write_json({**swept.as_json(), "dry_run": dry_run})
        return
    for one in swept.orphans:
        write(f"{swept.store}/{one.name}")
    say(_told(swept, dry_run=dry_run))


def _told(swept: "Swept", *, dry_run: bool) -> str:
    size = sum(one.size for one in swept.orphans)
    verb = "To be removed" if dry_run else "Removed"
    staged = f", and {swept.staged:,} remains of cut writes" if swept.staged else ""
    return (
        f"{verb}: {len(swept.orphans):,} of {swept.listed:,} objects ({size:,} bytes){staged}. "
        f"{swept.referenced:,} are referred to, {swept.kept:,} are too young or of work to be done."
    )
