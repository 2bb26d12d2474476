"""What `send` shows: ids or answers as the result, a bar on a terminal, a last sentence."""

import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Self

from broker.cli.completion_lines import STATUS_STYLES, choices_of, latency_ms, printable
from broker.cli.growing_answers import labelled
from broker.cli.output import console, milliseconds, say, write

if TYPE_CHECKING:
    from rich.progress import Progress

    from broker.cli.answer_files import AnswerFiles
    from broker.records.completion import Completion
    from broker.story.following import Followed

_STILL_S: Final = 0.5
"""What is done in less shows no bar."""


class SendView:
    """The output of one `send`; a context manager that takes the bar away.

    Results go to standard output. Where that is the terminal too, bar and results share one
    console, so that lines appear above the bar. What lies in the store goes to `files`, if any.
    """

    def __init__(
        self, total: int, *, waiting: bool, as_json: bool, files: "AnswerFiles | None" = None
    ) -> None:
        self.total = total
        self._files = files
        self.unsuccessful = 0
        """Answers so far that did not succeed."""
        self._waiting = waiting
        self._as_json = as_json
        self._on_terminal = sys.stdout.isatty()
        self._accepted = 0
        self._sent_told = False
        self._statuses: Counter[str] = Counter()
        self._began = time.monotonic()
        self._bar: Progress | None = None
        self._tasks: list[Any] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_bar()

    def accepted(self, identity: str, partition: int, offset: int) -> None:
        """Kafka has this prompt."""
        self._accepted += 1
        if self._waiting:
            self.sent(identity)
        elif self._as_json:
            import orjson

            place = {"id": identity, "partition": partition, "offset": offset}
            self._result(orjson.dumps(place).decode())
        else:
            self._result(identity)

    def sent(self, identity: str) -> None:
        """Say once that it is on its way: Kafka's word on it may come after the answer."""
        if self.total == 1 and not self._as_json and not self._sent_told:
            self._sent_told = True
            say(f"Sent {identity}.")

    def answered(self, one: "Followed") -> None:
        """This one is answered, well or not."""
        completion = one.completion
        self.sent(completion.id)
        good = self.count(completion)
        saved = self.saved(completion)
        if self._as_json:
            self._result(one.value.decode())
            return
        if self.total > 1:
            self.headline(completion)
        answer = saved or labelled(choices_of(completion))
        if good or self.total > 1:
            self._result(answer + "\n" * (self.total > 1))
        else:
            say(f"{completion.id} {completion.status}: {printable(answer)}")

    def count(self, completion: "Completion") -> bool:
        """Count an answer; whether it succeeded."""
        self._statuses[completion.status] += 1
        good = completion.status == "succeeded"
        self.unsuccessful += not good
        return good

    def saved(self, completion: "Completion") -> str:
        """Save what of it lies in the store; the files, a line each. What cannot be is said."""
        if self._files is None:
            return ""
        from broker.records.errors import WeighbridgeError

        try:
            paths = "\n".join(map(str, self._files.save(completion)))
        except WeighbridgeError as error:
            self.unsuccessful += 1
            say(f"{completion.id} could not be saved: {error}")
            return ""
        if paths and self._as_json:
            say(paths)
        return paths

    def headline(self, completion: "Completion") -> None:
        """The line that says how it went."""
        where = f"{completion.provider or '-'}  {completion.lane or '-'}"
        self._result(
            f"{completion.id}  {completion.status}  {where}  "
            f"{milliseconds(latency_ms(completion))}",
            STATUS_STYLES[completion.status],
        )

    def refresh(self) -> None:
        """Draw how far it is."""
        if self._bar is None:
            if self.total == 1 or not sys.stderr.isatty():
                return
            if time.monotonic() - self._began < _STILL_S:
                return
            self._start_bar()
        counts = (self._accepted, sum(self._statuses.values()))
        for task, count in zip(self._tasks, counts, strict=False):
            self._bar.update(task, completed=count)  # type: ignore[union-attr]  # started above

    def summary(self) -> None:
        """The last sentence, for more than one prompt."""
        self._end_bar()
        if self.total == 1:
            return
        told = ", ".join(f"{count:,} {status}" for status, count in self._statuses.most_common())
        say(f"Sent {self._accepted:,} prompts{': ' * bool(told)}{told}.")

    def _result(self, line: str, style: str = "") -> None:
        if not self._on_terminal:
            write(line)
            return
        from rich.text import Text

        out = console() if self._bar is None else self._bar.console
        out.print(Text(printable(line), style))

    def _start_bar(self) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=console(stderr=not self._on_terminal),
            transient=True,
            redirect_stdout=False,
        )
        self._bar.start()
        names = ("accepted", "answered") if self._waiting else ("accepted",)
        self._tasks = [self._bar.add_task(name, total=self.total) for name in names]

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
