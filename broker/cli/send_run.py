"""One run of `send`: prompts out, acknowledgements and answers in, all on one thread."""

import time
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import typer

from broker.cli.answer_files import AnswerFiles
from broker.cli.completion_lines import OutageNotice
from broker.cli.output import say
from broker.cli.send_view import SendView
from broker.cli.stream_view import StreamView
from broker.load.prompt_files import PromptFile
from broker.load.sender import DELIVERY_S, PromptSender
from broker.records.errors import NotReadyError, WeighbridgeError
from broker.settings import Settings
from broker.story.following import CompletionFollower

NOT_SUCCEEDED: Final = 1
"""Exit code when an answer came that did not succeed."""
_MOST: Final = 5_000
"""So many may be in flight."""
_TURN_S: Final = 0.1
_NAMED: Final = 5
_GIVE_UP_S: Final = 5.0
_STALLED_S: Final = 5.0


def run_send(
    settings: Settings,
    prompts: PromptFile,
    given: Mapping[str, Any],
    *,
    total: int,
    wait_s: float | None,
    as_json: bool,
    stream: bool = False,
    out: Path | None = None,
) -> None:
    """Send the `total` prompts with the fields of `given` where they have none of their own.

    With `wait_s` print the answers, at most so long after the last prompt was sent; with `stream`
    as they grow. What of them lies in the store goes to the folder `out`. Raises
    NotReadyError, DeliveryFailedError, UsageError, or typer.Exit with NOT_SUCCEEDED.
    """
    files = None if out is None else AnswerFiles(settings, out)
    with ExitStack() as stack:
        # The follower stands at the end of the completions before the first prompt is sent.
        follower = None
        if wait_s is not None:
            follower = stack.enter_context(CompletionFollower(settings, streams=stream))
        accepted: deque[tuple[str, int, int]] = deque()
        sender = stack.enter_context(
            PromptSender(settings, on_acknowledged=lambda *place: accepted.append(place))
        )
        view = stack.enter_context(
            StreamView(total, as_json=as_json, files=files)
            if stream
            else SendView(total, waiting=follower is not None, as_json=as_json, files=files)
        )
        sending = Sending(sender, follower, view, accepted)
        sending.send_all(prompts, given)
        if wait_s is not None:
            sending.wait(wait_s)
    view.summary()
    if view.unsuccessful:
        raise typer.Exit(NOT_SUCCEEDED)


class Sending:
    """One run of the command: prompts out, acknowledgements and answers in."""

    def __init__(
        self,
        sender: PromptSender,
        follower: CompletionFollower | None,
        view: SendView,
        accepted: deque[tuple[str, int, int]],
    ) -> None:
        self._sender = sender
        self._follower = follower
        self._notice = None if follower is None else OutageNotice(follower)
        self._view = view
        self._accepted = accepted
        self._unanswered: set[str] = set()
        self._moved_at = time.monotonic()
        self._stall_told = False

    def send_all(self, prompts: PromptFile, given: Mapping[str, Any]) -> None:
        """Until everything is acknowledged; what failed raises DeliveryFailedError."""
        turn_at = 0.0
        try:
            for written in prompts:
                fields = {**given, **written.fields}
                identity = fields.pop("id", None) or uuid4().hex
                if self._follower is not None:
                    self._unanswered.add(identity)
                if isinstance(self._view, StreamView):
                    self._view.asked(identity, fields.get("n"))
                self._wait_until(_MOST - 1)
                self._sender.send(identity, fields)
                if time.monotonic() >= turn_at:
                    self._turn(0.0)
                    turn_at = time.monotonic() + _TURN_S
            self._wait_until(0)
            self._turn(0.0)
        except WeighbridgeError:
            with suppress(WeighbridgeError):
                self._sender.flush(_GIVE_UP_S)
            self._tell_accepted()
            say(
                f"Kafka has accepted {self._sender.acknowledged:,} of {self._view.total:,} prompts."
            )
            raise

    def _wait_until(self, in_flight: int) -> None:
        """No more than so many are in flight; each ends in DELIVERY_S, one way or the other."""
        while self._sender.in_flight > in_flight:
            self._sender.poll(_TURN_S)
            self._turn(0.0)

    def wait(self, seconds: float) -> None:
        """Until all are answered; raises NotReadyError when they are not in time."""
        ends = time.monotonic() + seconds
        while self._unanswered:
            left = ends - time.monotonic()
            if left <= 0:
                raise self._late(seconds)
            self._turn(min(_TURN_S, left))

    def _turn(self, timeout_s: float) -> None:
        self._tell_accepted()
        if self._follower is not None and self._notice is not None:
            found = self._follower.poll(timeout_s)
            for piece in self._follower.pieces:
                if piece.chunk.id in self._unanswered and isinstance(self._view, StreamView):
                    self._view.grew(piece)
            for one in found:
                if one.completion.id in self._unanswered:
                    self._unanswered.discard(one.completion.id)
                    self._view.answered(one)
            self._notice.check()
        self._view.refresh()

    def _tell_accepted(self) -> None:
        now = time.monotonic()
        if self._accepted or not self._sender.in_flight:
            self._moved_at = now
        elif now - self._moved_at > _STALLED_S and not self._stall_told:
            say(f"Kafka acknowledges nothing; trying for {DELIVERY_S:.0f} s.")
            self._stall_told = True
        while self._accepted:
            self._view.accepted(*self._accepted.popleft())

    def _late(self, seconds: float) -> NotReadyError:
        missing = sorted(self._unanswered)
        named = ", ".join(missing[:_NAMED]) + (", …" if len(missing) > _NAMED else "")
        return NotReadyError(
            f"{len(missing):,} of {self._view.total:,} prompts were not answered within "
            f"{seconds:g} s: {named}.",
            mend="They are accepted: `weighbridge trace ID` tells where one is. An id that was "
            "sent before is not answered again.",
            code="not_answered",
        )
