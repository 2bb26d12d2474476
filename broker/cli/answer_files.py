"""Saves what of answers lies in the store: pictures, and answers too large for a record."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from broker.cli.body_words import references_of
from broker.records.completion import Completion
from broker.records.errors import UsageError
from broker.settings import Settings
from broker.store.media import ending, sniffed
from broker.store.reading import DataReader


class AnswerFiles:
    """A folder for answers; it is made when it is not there. Raises UsageError when it cannot be.

    Size and sum of everything are checked before a file has its name.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._reader = DataReader(settings.store)
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._cannot(error) from error

    def save(self, completion: Completion) -> Sequence[Path]:
        """Write `<id>-1.png`, `<id>-2.png` and so on, in their order; the paths.

        None for an answer that stands in its record. Raises DataRefError when something is not in
        the store or not what it was, StoreFailedError, and UsageError when it cannot be written.
        """
        refs = [] if completion.data is None else [completion.data]
        refs += references_of(completion.body or {})
        paths = []
        for number, ref in enumerate(refs, 1):
            data = asyncio.run(self._reader.read(ref))
            kind = ending(sniffed(data) or ref.media_type)
            path = self._folder / f"{completion.id}-{number}.{kind}"
            self._write(path, data)
            paths.append(path)
        return paths

    def _write(self, path: Path, data: bytes) -> None:
        begun = path.with_name(f".{path.name}.part")
        try:
            begun.write_bytes(data)
            begun.replace(path)
        except OSError as error:
            begun.unlink(missing_ok=True)
            raise self._cannot(error) from error

    def _cannot(self, error: OSError) -> UsageError:
        return UsageError(
            f"Nothing can be written to {self._folder}: {error.strerror or 'no reason given'}.",
            mend="Name another folder with --out.",
        )
