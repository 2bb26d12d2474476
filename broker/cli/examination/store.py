"""The claim-check store: a small object goes in, comes back and is removed; what inputs lie in.

Every request has a few seconds and one try, so that a store that hangs holds nobody.
"""

import asyncio
import re
import time
from collections.abc import Iterator, Mapping
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from broker.cli.examination.finding import Examiner, Finding, ok, problem, warning
from broker.cli.output import milliseconds
from broker.records.errors import UsageError, WeighbridgeError
from broker.settings import Settings
from broker.settings.sections import InputStore
from broker.store.claims import own_url
from broker.store.names import bare_url
from broker.store.objects import Objects, StoreFailedError

REQUEST_S: Final = 3.0
"""Of one request."""
WHOLE_S: Final = 10.0
"""Of all that is asked of one store."""
FOLDER: Final = "doctor"
"""Where the small object stands; no deployment's folder has this name."""
_CHECK: Final = "store"
_STATUS: Final = re.compile(r"status code: ([1-5][0-9]{2})\b")
_FORBIDDEN: Final = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_WORDS: Final = b"weighbridge doctor wrote this, and removes it again"
_RIGHTS: Final = "Check the credentials in store.options and that they may {}."
_PLACE: Final = "Make the bucket or container, or mend {}.url."
_NETWORK: Final = "Check {0}.url, the endpoint in {0}.options, and the network."


def store_examiners(settings: Settings) -> dict[str, Examiner]:
    """One for our own store, and one for each that prompts may refer to."""
    found: dict[str, Examiner] = {_CHECK: partial(examine_store, settings)}
    for number, given in enumerate(settings.store.inputs, 1):
        check = f"{_CHECK} of inputs {number}"
        found[check] = partial(examine_inputs, check, f"store.inputs.{number - 1}", given)
    return found


def examine_store(settings: Settings) -> Iterator[Finding]:
    """Whether what is too large for a record finds its place, and can be removed again."""
    url = own_url(settings.store)
    folder = _folder_of(url)
    if folder is not None and not folder.exists():
        yield ok(_CHECK, f"{folder} is made when the first large answer comes")
        return
    yield asyncio.run(_written(url, settings.store.options))


def examine_inputs(check: str, place: str, given: InputStore) -> Iterator[Finding]:
    """Whether a store of `store.inputs` can be read; nothing of it is fetched."""
    root = bare_url(given.url)
    folder = _folder_of(given.url)
    if folder is not None and not folder.is_dir():
        yield problem(check, f"{folder} is no folder here.", f"Make it, or mend {place}.url.")
        return
    yield asyncio.run(_readable(check, place, root, given))


async def _written(url: str, options: Mapping[str, str]) -> Finding:
    began = time.monotonic()
    root, name = bare_url(url), f"{FOLDER}/{uuid4().hex}.txt"
    step = "it cannot be opened"
    try:
        async with asyncio.timeout(WHOLE_S):
            store = _opened(url, options)
            step = "it does not take an object"
            await store.put(name, _WORDS, "text/plain")
            step = "it does not give back what it took"
            got = await store.get(name, len(_WORDS))
            if got != _WORDS:
                text = "what it gives back is not what was written" if got else "it lost an object"
                return problem(_CHECK, f"{root}: {text}.", "Look at what stands behind store.url.")
            step = "`store gc` can list nothing"
            if name not in {one.name async for one in store.listed(FOLDER)}:
                return warning(
                    _CHECK, f"{root}: it does not list what it has.", _RIGHTS.format("list")
                )
            step = "`store gc` can remove nothing"
            await store.remove(name)
    except (WeighbridgeError, TimeoutError) as error:
        return _failed(_CHECK, root, step, error, _CHECK)
    took = milliseconds((time.monotonic() - began) * 1000)
    return ok(_CHECK, f"{root} took a small object, gave it back and removed it in {took}")


async def _readable(check: str, place: str, root: str, given: InputStore) -> Finding:
    step = "it cannot be opened"
    try:
        async with asyncio.timeout(WHOLE_S):
            store = _opened(given.url, given.options)
            step = "it cannot be read"
            try:
                async for _ in store.listed(""):
                    break
            except StoreFailedError as error:
                if _status_of(error.__cause__) not in _FORBIDDEN:
                    raise
                # Some may read an object by its name, and nothing else.
                await store.modified(f"{FOLDER}/{uuid4().hex}")
                return ok(check, f"{root} can be read by name; it lists nothing for us")
    except (WeighbridgeError, TimeoutError) as error:
        return _failed(check, root, step, error, place)
    return ok(check, f"{root} can be read")


def _opened(url: str, options: Mapping[str, str]) -> Objects:
    """The store, made to answer soon or not at all; raises UsageError."""
    kept = {name: value for name, value in options.items() if "timeout" not in name.lower()}
    return Objects(url, kept, tries=1, request_s=REQUEST_S)


def _failed(
    check: str, root: str, step: str, error: WeighbridgeError | TimeoutError, place: str
) -> Finding:
    """What happened, without the words of others, which may hold keys."""
    if isinstance(error, UsageError):
        mend = error.mend if place == _CHECK else f"Check {place}.url and {place}.options."
        return problem(check, f"{root}: {step}: {error.message}", mend)
    cause = error.__cause__ or error
    status = _status_of(cause)
    named = f"HTTP {status}" if status else type(cause).__name__
    if isinstance(cause, TimeoutError):
        named = f"no answer within {REQUEST_S:g} s"
    level = warning if "store gc" in step else problem
    if status in _FORBIDDEN:
        mend = _RIGHTS.format("write, read, list and remove" if place == _CHECK else "read")
        mend = mend.replace("store.options", f"{place}.options")
    elif status == HTTPStatus.NOT_FOUND or isinstance(cause, FileNotFoundError):
        mend = _PLACE.format(place)
    else:
        mend = _NETWORK.format(place)
    return level(check, f"{root}: {step} ({named}).", mend)


def _status_of(error: BaseException | None) -> int | None:
    """What the store answered: obstore tells it in its words only, the more so of lists."""
    found = _STATUS.search(str(error))
    return None if found is None else int(found[1])


def _folder_of(url: str) -> Path | None:
    """The folder of a store on a disk."""
    return Path(unquote(urlsplit(url).path)) if url.startswith("file:///") else None
