"""As much of S3 as a store needs: put, get, head, list, delete, on a free port of this machine."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


@dataclass
class Kept:
    """An object of the bucket; `modified` is unix seconds."""

    data: bytes
    media_type: str
    modified: float


@dataclass
class Bucket:
    """What the server holds. `on_put` is called when an object is there and its answer is not."""

    url: str = ""
    kept: dict[str, Kept] = field(default_factory=dict)
    on_put: Callable[[str], None] = lambda _: None
    keys: set[str] = field(default_factory=set)
    """Access keys that requests were signed with."""
    refuses: dict[str, int] = field(default_factory=dict)
    """Statuses in place of an answer, by the method or LIST."""
    hangs: bool = False
    """Whether nothing is answered until this is False again."""

    @property
    def store(self) -> dict[str, Any]:
        """The section [store] of settings that use it."""
        return {
            "url": "s3://bucket/claims",
            "options": {
                "endpoint": self.url,
                "allow_http": "true",
                "region": "here",
                "access_key_id": "AKEY",
                "secret_access_key": "not-a-secret",
            },
        }


@contextmanager
def s3_server() -> Iterator[Bucket]:
    """A server with an empty bucket."""
    bucket = Bucket()

    class Handler(_Handler):
        held = bucket

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    bucket.url = f"http://127.0.0.1:{server.server_address[1]}"
    serving = threading.Thread(target=server.serve_forever, args=(0.05,))
    serving.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        serving.join(10)
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    held: Bucket
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_PUT(self) -> None:
        data = self._body()
        if self._refused("PUT"):
            return
        kind = self.headers.get("Content-Type", "")
        self.held.kept[self._name()] = Kept(data, kind, time.time())
        self.held.on_put(self._name())
        self._answer(200, ETag=_tag(data))

    def do_GET(self) -> None:
        name = self._name()
        if not name and not self._refused("LIST"):
            self._answer(200, self._listing().encode())
        if not name or self._refused("GET"):
            return
        found = self.held.kept.get(name)
        if found is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self._answer(200, found.data, **_headers(found))

    def do_HEAD(self) -> None:
        if self._refused("HEAD"):
            return
        found = self.held.kept.get(self._name())
        if found is None:
            self._answer(404)
        else:
            self._answer(200, found.data, **_headers(found))

    def do_DELETE(self) -> None:
        if self._refused("DELETE"):
            return
        self.held.kept.pop(self._name(), None)
        self._answer(204)

    def do_POST(self) -> None:
        text = self._body().decode()
        if self._refused("DELETE"):
            return
        names = [part.split("</Key>")[0] for part in text.split("<Key>")[1:]]
        for name in names:
            self.held.kept.pop(name, None)
        gone = "".join(f"<Deleted><Key>{escape(name)}</Key></Deleted>" for name in names)
        self._answer(200, f"<DeleteResult>{gone}</DeleteResult>".encode())

    def _refused(self, what: str) -> bool:
        """Answer with what the bucket says instead of this, if anything."""
        while self.held.hangs:
            time.sleep(0.02)
        status = self.held.refuses.get(what)
        if status is None:
            return False
        code = {403: "AccessDenied", 404: "NoSuchBucket"}.get(status, "InternalError")
        self._answer(status, f"<Error><Code>{code}</Code></Error>".encode())
        return True

    def _name(self) -> str:
        signed = self.headers.get("Authorization", "")
        self.held.keys.add(signed.partition("Credential=")[2].partition("/")[0])
        return unquote(urlsplit(self.path).path).removeprefix("/bucket").removeprefix("/")

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _listing(self) -> str:
        prefix = parse_qs(urlsplit(self.path).query).get("prefix", [""])[0]
        rows = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(one.data)}</Size>"
            f"<LastModified>{datetime.fromtimestamp(one.modified, UTC):%Y-%m-%dT%H:%M:%S.000Z}"
            f"</LastModified><ETag>{_tag(one.data)}</ETag></Contents>"
            for name, one in sorted(self.held.kept.items())
            if name.startswith(prefix)
        )
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{rows}</ListBucketResult>"

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_one_request(self) -> None:
        """Whoever asked may be gone when the answer is ready."""
        with suppress(ConnectionError):
            super().handle_one_request()


def _headers(one: Kept) -> dict[str, str]:
    return {
        "ETag": _tag(one.data),
        "Content_Type": one.media_type,
        "Last_Modified": format_datetime(datetime.fromtimestamp(one.modified, UTC), usegmt=True),
    }


def _tag(data: bytes) -> str:
    return f'"{md5(data, usedforsecurity=False).hexdigest()}"'
