"""What `send --stream` shows: answers as they grow, and which part of what stands there is void."""

import shutil
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from broker.cli.completion_lines import choices_of, printable
from broker.cli.growing_answers import Growing, Inline, InLines, InTurn
from broker.cli.output import say, write
from broker.cli.send_view import SendView
from broker.core.chunk_reading import ChunkReader, Step

if TYPE_CHECKING:
    from broker.cli.answer_files import AnswerFiles
    from broker.records.chunk import Chunk
    from broker.story.following import Followed, FollowedChunk

_WIDTH: Final = 100
"""Longest line of an answer beside others, where no terminal says how wide it is."""


@dataclass(slots=True)
class _Answer:
    """What has been read of one answer, and how it stands in the output."""

    growing: Growing
    reader: ChunkReader = field(default_factory=ChunkReader)


class StreamView(SendView):
    """As SendView, with answers that grow.

    One answer is written as it comes, without a line of its own for each piece. Several are
    written in lines that begin with their ids, each as soon as it is full. Several choices of one
    answer grow in blocks on a terminal, and in turn elsewhere.
    """

    def __init__(self, total: int, *, as_json: bool, files: "AnswerFiles | None" = None) -> None:
        super().__init__(total, waiting=True, as_json=as_json, files=files)
        self._answers: dict[str, _Answer] = {}
        self._choices: dict[str, int] = {}

    def asked(self, identity: str, choices: Any) -> None:
        """A prompt that will be answered, with the `n` that it has, if any."""
        if type(choices) is int and choices > 1:
            self._choices[identity] = choices

    def grew(self, one: "FollowedChunk") -> None:
        """A piece of an answer that is waited for."""
        self.sent(one.chunk.id)
        if self._as_json:
            write(one.value.decode())
            return
        chunk = one.chunk
        answer = self._answers.get(chunk.id)
        if answer is None:
            growing = self._growing(chunk.id, self._choices.get(chunk.id, 1))
            answer = self._answers[chunk.id] = _Answer(growing)
        before = answer.reader.provider
        step = answer.reader.take(chunk)
        if step in (Step.AGAIN, Step.FAILED) and answer.growing.stands:
            self._void(chunk, answer.growing, step, before)
        if step is Step.DROPPED or chunk.index is None:
            return
        content = (chunk.delta or {}).get("content")
        if isinstance(content, str) and content:
            answer.growing.add(chunk.index, content)
        if chunk.finish_reason is not None:
            answer.growing.whole(chunk.index)

    def answered(self, one: "Followed") -> None:
        """Its completion is here: it says what the answer is, whatever came before."""
        completion = one.completion
        self._choices.pop(completion.id, None)
        answer = self._answers.pop(completion.id, None)
        if answer is None or not answer.growing.stands:
            super().answered(one)
            return
        growing = answer.growing
        texts = choices_of(completion)
        if completion.status == "succeeded" and growing.matches(texts):
            growing.complete(texts)
            self.count(completion)
            if self.total > 1:
                self.headline(completion)
            saved = self.saved(completion)
            if saved:
                self._result(saved)
            return
        growing.void()
        if completion.status == "succeeded" and growing.lasting:
            say(f"{completion.id}: pieces were missing above; this is the answer.")
        super().answered(one)

    def refresh(self) -> None:
        """Draw how far it is."""
        super().refresh()
        if self.total == 1:
            for answer in self._answers.values():
                answer.growing.refresh()

    def __exit__(self, *given: object) -> None:
        for answer in self._answers.values():
            if not answer.growing.lasting:
                answer.growing.void()
        super().__exit__(*given)

    def _growing(self, identity: str, choices: int) -> Growing:
        if self.total > 1:
            return InLines(identity, choices, self._result, self._width)
        if choices == 1:
            return Inline(self._write)
        if not self._on_terminal:
            return InTurn(choices, self._write)
        from broker.cli.live_choices import Blocks

        return Blocks(choices)

    def _write(self, text: str) -> None:
        write(printable(text) if self._on_terminal else text, end="")

    def _width(self) -> int:
        return shutil.get_terminal_size((_WIDTH, 1)).columns if self._on_terminal else _WIDTH

    def _void(self, chunk: "Chunk", growing: Growing, step: Step, before: str) -> None:
        """What stands there counts no more."""
        growing.void()
        sys.stdout.flush()
        if step is Step.AGAIN:
            what = f"the call of {before} broke off, and {chunk.provider} begins again"
        else:
            what = f"{chunk.provider} failed in the middle ({chunk.code})"
        stood = "what stands above" if growing.lasting else "what stood there"
        say(f"{chunk.id}: {what}; {stood} is void.")
