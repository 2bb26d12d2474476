"""How objects are called: a folder of one deployment, the hour, the SHA-256 of the bytes. Pure.

    <cluster id>/<kafka.prefix>/2026-11-26/14/<sha256>.png

Same bytes of one hour are one object, so a call that is repeated leaves nothing behind. The hour
is what makes removing safe: see `broker.story.store_sweep`.
"""

import re
from datetime import UTC, datetime
from typing import Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from broker.store.media import ending

HOUR_S: Final = 3_600.0
_OURS: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}/[0-9]{2}/[0-9a-f]{64}\.[a-z0-9]{1,8}")
_UNSAFE: Final = frozenset({"", ".", ".."})


def folder_of(cluster: str, prefix: str) -> str:
    """The folder of one deployment: nobody else writes there, and only it is swept."""
    return f"{quote(cluster, safe='') or 'unnamed'}/{prefix}"


def object_name(folder: str, at: float, digest: str, media_type: str) -> str:
    """The name of an object that is written at this time (unix seconds)."""
    return f"{folder}/{datetime.fromtimestamp(at, UTC):%Y-%m-%d/%H}/{digest}.{ending(media_type)}"


def is_of(folder: str, name: str) -> bool:
    """Whether this is the name of an object that was written for this deployment."""
    return name.startswith(f"{folder}/") and bool(_OURS.fullmatch(name, len(folder) + 1))


def bare_url(url: str) -> str:
    """A store's URL without what may be a secret in it, and without a slash at its end."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def name_below(root: str, url: str) -> str | None:
    """The name of the object at `url` in the store at `root`; None when it is not in there.

    What could lead out of the store (`..`, encoded or not) or carries more than a place (a query,
    a user) is in none.
    """
    if not url.startswith(f"{root}/") or "?" in url or "#" in url:
        return None
    segments = [unquote(segment) for segment in url[len(root) + 1 :].split("/")]
    if any(part in _UNSAFE or "/" in part or "\\" in part or "\0" in part for part in segments):
        return None
    return "/".join(segments)
