"""What `send --stream` shows: answers as they grow, and which part of what stands there is void."""

import shutil
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from broker.cli.completion_lines import answer_of, printable
from broker.cli.output import say, write
from broker.cli.send_view import SendView
from broker.core.chunk_reading import ChunkReader, Step

if TYPE_CHECKING:
    from broker.cli.answer_files import AnswerFiles
    from broker.records.chunk import Chunk
    from broker.story.following import Followed, FollowedChunk

_WIDTH: Final = 100
"""Longest line of an answer beside others, where no terminal says how wide it is."""
_NARROWEST: Final = 20


@dataclass(slots=True)
class _Growing:
    """One answer: what has been read, what of it stands in the output, what waits for its line."""

    reader: ChunkReader = field(default_factory=ChunkReader)
    shown: str = ""
    line: str = ""


class StreamView(SendView):
    """As SendView, with answers that grow.

    One answer is written as it comes, without a line of its own for each piece. Several are
    written in lines that begin with their ids, each as soon as it is full.
    """

    def __init__(self, total: int, *, as_json: bool, files: "AnswerFiles | None" = None) -> None:
        super().__init__(total, waiting=True, as_json=as_json, files=files)
        self._growing: dict[str, _Growing] = {}

    def grew(self, one: "FollowedChunk") -> None:
        """A piece of an answer that is waited for."""
        self.sent(one.chunk.id)
        if self._as_json:
            write(one.value.decode())
            return
        chunk = one.chunk
        growing = self._growing.setdefault(chunk.id, _Growing())
        before = growing.reader.provider
        step = growing.reader.take(chunk)
        if step in (Step.AGAIN, Step.FAILED) and growing.shown:
            self._void(chunk, growing, step, before)
        content = (chunk.delta or {}).get("content") if chunk.index == 0 else None
        if step is not Step.DROPPED and isinstance(content, str):
            self._show(chunk.id, growing, content)

    def answered(self, one: "Followed") -> None:
        """Its completion is here: it says what the answer is, whatever came before."""
        completion = one.completion
        growing = self._growing.pop(completion.id, _Growing())
        if self._as_json or not growing.shown:
            super().answered(one)
            return
        answer = answer_of(completion)
        if completion.status == "succeeded" and answer.startswith(growing.shown):
            self._show(completion.id, growing, answer[len(growing.shown) :])
            self._end_line(completion.id, growing)
            self.count(completion)
            if self.total > 1:
                self.headline(completion)
            saved = self.saved(completion)
            if saved:
                self._result(saved)
            return
        self._end_line(completion.id, growing)
        if completion.status == "succeeded":
            say(f"{completion.id}: pieces were missing above; this is the answer.")
        super().answered(one)

    def _show(self, identity: str, growing: _Growing, text: str) -> None:
        growing.shown += text
        if self.total == 1:
            write(printable(text) if self._on_terminal else text, end="")
            return
        growing.line += text
        while "\n" in growing.line or len(growing.line) > self._width(identity):
            line, growing.line = _cut(growing.line, self._width(identity))
            self._line(identity, line)

    def _end_line(self, identity: str, growing: _Growing) -> None:
        if self.total == 1:
            write("")
        elif growing.line:
            self._line(identity, growing.line)
        growing.line = ""

    def _line(self, identity: str, line: str) -> None:
        self._result(f"{identity} | {line}")

    def _width(self, identity: str) -> int:
        width = shutil.get_terminal_size((_WIDTH, 1)).columns if self._on_terminal else _WIDTH
        return max(_NARROWEST, width - len(identity) - len(" | "))

    def _void(self, chunk: "Chunk", growing: _Growing, step: Step, before: str) -> None:
        """What stands there counts no more."""
        self._end_line(chunk.id, growing)
        growing.shown = ""
        sys.stdout.flush()
        if step is Step.AGAIN:
            what = f"the call of {before} broke off, and {chunk.provider} begins again"
        else:
            what = f"{chunk.provider} failed in the middle ({chunk.code})"
        say(f"{chunk.id}: {what}; what stands above is void.")


def _cut(text: str, width: int) -> tuple[str, str]:
    """The first line, at most so wide where there is a blank to cut at, and what follows it."""
    line, newline, rest = text.partition("\n")
    if newline and len(line) <= width:
        return line, rest
    place = text.rfind(" ", 1, width + 1)
    if place < 0:
        return text[:width], text[width:]
    return text[:place], text[place + 1 :]
