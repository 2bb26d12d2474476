"""A child as a supervisor has them: it answers /readyz, and behaves as it is told to."""

import argparse
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType

from broker.supervisor.parent_death import follow_parent


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


def note(file: Path, text: str) -> None:
    with file.open("a") as out:
        out.write(f"{text} {time.monotonic()} {os.getpid()}\n")


def main() -> None:
    follow_parent()
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--notes", type=Path, required=True)
    parser.add_argument("--name", default="child")
    parser.add_argument("--deaf", action="store_true", help="do not end at SIGTERM")
    parser.add_argument("--ends-with", type=int, help="say so and end at once")
    parser.add_argument("--never-ready", action="store_true")
    given = parser.parse_args()
    if given.ends_with is not None:
        sys.stderr.write("first line\nthe reason why it ends\n")
        sys.exit(given.ends_with)

    def end(_number: int, _frame: FrameType | None) -> None:
        note(given.notes, f"{given.name} term")
        if not given.deaf:
            sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    note(given.notes, f"{given.name} start")
    if given.never_ready:
        time.sleep(600)
    ThreadingHTTPServer(("127.0.0.1", given.port), Answer).serve_forever()


main()
