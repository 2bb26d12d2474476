"""`weighbridge send`: prompts in, and with `--wait` their answers out."""

import sys
import time
from collections import deque
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import uuid4

import typer

from broker.cli.options import AsJson, Config, Kafka, load
from broker.cli.output import say
from broker.records.errors import NotReadyError, UsageError, WeighbridgeError
from broker.records.prompt import Priority

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from broker.cli.send_view import SendView
    from broker.load.prompt_files import PromptFile
    from broker.load.sender import PromptSender
    from broker.settings import Settings
    from broker.story.following import CompletionFollower

NOT_SUCCEEDED: Final = 1
_TURN_S: Final = 0.1
_NAMED: Final = 5
_GIVE_UP_S: Final = 5.0


def send(
    text: Annotated[
        str | None, typer.Argument(metavar="[TEXT|-]", help="The prompt; - reads standard input.")
    ] = None,
    *,
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON lines, or a CSV with a `prompt` column."),
    ] = None,
    identity: Annotated[
        str | None, typer.Option("--id", help="Its id, for one prompt; else one is made.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Who pays.")] = None,
    model: Annotated[str | None, typer.Option(help="A model of the settings.")] = None,
    priority: Annotated[Priority | None, typer.Option(help="How urgent it is.")] = None,
    provider: Annotated[str | None, typer.Option(help="Only this provider may answer.")] = None,
    max_output_tokens: Annotated[
        int | None, typer.Option(min=1, help="Longest answer, in tokens.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(min=0.0, help="Seconds after which an answer is of no use any more."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Print the answers as they come.")] = False,
    wait_s: Annotated[
        float, typer.Option(min=0.0, help="Seconds to --wait after the last prompt was sent.")
    ] = 120.0,
    config: Config = None,
    kafka: Kafka = None,
    as_json: AsJson = False,
) -> None:
    """Send prompts: one TEXT, those of a FILE, or what standard input holds (-).

    Standard input that begins with { holds JSON objects: one on each line, or
    one over all of them. Any other input is a single prompt, as it is.

    A FILE is JSON lines or CSV, by its name (.jsonl, .csv) or by how it begins.
    Columns of a CSV are named like the fields of a prompt.

    Options hold for every prompt that does not say otherwise itself. Input that
    is wrong is told with its line, and nothing of it is sent.

    Prints the ids, or with --wait the answers: exit code 1 when one did not
    succeed, 3 when they were not all there in time.
    """
    given = {
        "tenant": tenant,
        "model": model,
        "priority": priority,
        "provider": provider,
        "max_output_tokens": max_output_tokens,
        "timeout_s": timeout,
    }
    given = {name: value for name, value in given.items() if value is not None}
    with _input(text, file) as prompts:
        total = _survey(prompts, identity)
        if identity is not None:
            given["id"] = identity
        settings = load(config, kafka)
        _run(
            settings, prompts, given, total=total, wait_s=wait_s if wait else None, as_json=as_json
        )


@contextmanager
def _input(text: str | None, file: Path | None) -> "Iterator[PromptFile]":
    from broker.load.prompt_files import given_text, opened_file, opened_stream

    if (text is None) == (file is None):
        raise UsageError(
            "There is nothing to send." if text is None else "Both TEXT and --file are given.",
            mend="Give one of TEXT, --file FILE, or - for standard input.",
        )
    if file is not None:
        opened = opened_file(file)
    elif text == "-":
        if sys.stdin.isatty():
            say("Reading the prompt from the keyboard; Ctrl-D ends it.")
        opened = opened_stream(sys.stdin.buffer, "standard input")
    else:
        opened = given_text(text or "")
    with opened as prompts:
        yield prompts


def _survey(prompts: "PromptFile", identity: str | None) -> int:
    """Read everything once; how many prompts there are. Raises UsageError for what is wrong."""
    from broker.load.prompt_files import id_problem

    problem = None if identity is None else id_problem(identity)
    if problem:
        raise UsageError(f"--id is wrong: {problem}.", mend="Give another, or none.")
    total = 0
    for _ in prompts:
        total += 1
    if identity is not None and total > 1:
        raise UsageError(
            f"--id is for one prompt, and there are {total:,} in {prompts.name}.",
            mend="Give each its `id` in the input.",
        )
    left_out = prompts.left_out()
    if left_out:
        say(f"Left out, as they are no fields of a prompt: {', '.join(left_out)}.")
    return total


def _run(
    settings: "Settings",
    prompts: "PromptFile",
    given: "Mapping[str, Any]",
    *,
    total: int,
    wait_s: float | None,
    as_json: bool,
) -> None:
    from broker.cli.send_view import SendView
    from broker.load.sender import PromptSender
    from broker.story.following import CompletionFollower

    with ExitStack() as stack:
        # The follower stands at the end of the completions before the first prompt is sent.
        follower = None
        if wait_s is not None:
            follower = stack.enter_context(CompletionFollower(settings))
        accepted: deque[tuple[str, int, int]] = deque()
        sender = stack.enter_context(
            PromptSender(settings, on_acknowledged=lambda *place: accepted.append(place))
        )
        view = stack.enter_context(SendView(total, waiting=follower is not None, as_json=as_json))
        sending = _Sending(sender, follower, view, accepted)
        sending.send_all(prompts, given)
        if wait_s is not None:
            sending.wait(wait_s)
    view.summary()
    if view.unsuccessful:
        raise typer.Exit(NOT_SUCCEEDED)


class _Sending:
    """One run of the command: prompts out, acknowledgements and answers in."""

    def __init__(
        self,
        sender: "PromptSender",
        follower: "CompletionFollower | None",
        view: "SendView",
        accepted: deque[tuple[str, int, int]],
    ) -> None:
        from broker.cli.completion_lines import OutageNotice

        self._sender = sender
        self._follower = follower
        self._notice = None if follower is None else OutageNotice(follower)
        self._view = view
        self._accepted = accepted
        self._unanswered: set[str] = set()

    def send_all(self, prompts: "PromptFile", given: "Mapping[str, Any]") -> None:
        """Until everything is acknowledged; what failed raises DeliveryFailedError."""
        turn_at = 0.0
        try:
            for written in prompts:
                fields = {**given, **written.fields}
                identity = fields.pop("id", None) or uuid4().hex
                if self._follower is not None:
                    self._unanswered.add(identity)
                self._sender.send(identity, fields)
                if time.monotonic() >= turn_at:
                    self._turn(0.0)
                    turn_at = time.monotonic() + _TURN_S
            while self._sender.in_flight:  # each ends in `sender.DELIVERY_S`, one way or the other
                self._sender.poll(_TURN_S)
                self._turn(0.0)
            self._turn(0.0)
        except WeighbridgeError:
            with suppress(WeighbridgeError):
                self._sender.flush(_GIVE_UP_S)
            self._tell_accepted()
            say(
                f"Kafka has accepted {self._sender.acknowledged:,} of {self._view.total:,} prompts."
            )
            raise

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
            for one in self._follower.poll(timeout_s):
                if one.completion.id in self._unanswered:
                    self._unanswered.discard(one.completion.id)
                    self._view.answered(one)
            self._notice.check()
        self._view.refresh()

    def _tell_accepted(self) -> None:
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
