"""One prompt's choices on a terminal: a block each, side by side in time, until they are whole."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Final

from broker.cli.completion_lines import printable
from broker.cli.growing_answers import label
from broker.cli.output import console

if TYPE_CHECKING:
    from rich.live import Live
    from rich.text import Text

_EVERY_S: Final = 0.05


class Blocks:
    """A block for each choice with the last lines of its text; nothing of it stays.

    They share the screen's height. What does not fit on it is not shown until the whole answer is
    printed.
    """

    lasting: ClassVar[bool] = False

    def __init__(self, choices: int) -> None:
        self._came = [""] * choices
        self._console = console()
        self._live: Live | None = None
        self._drawn_at = -_EVERY_S
        self._changed = False

    @property
    def stands(self) -> bool:
        """Whether anything has come."""
        return any(self._came)

    def add(self, index: int, text: str) -> None:
        """A piece of a choice."""
        if not 0 <= index < len(self._came):
            return
        self._came[index] += text
        self._changed = True
        self.refresh()

    def whole(self, index: int) -> None:
        """Its block stays as it is."""

    def refresh(self) -> None:
        """Draw what has come, some times a second at the most."""
        now = time.monotonic()
        if self._changed and now - self._drawn_at >= _EVERY_S:
            self._drawn_at, self._changed = now, False
            self._draw()

    def matches(self, texts: Sequence[str]) -> bool:
        """Whatever came: the whole answer is printed in its place."""
        del texts
        return False

    def complete(self, texts: Sequence[str]) -> None:
        """They go; the whole answer is printed by whoever knows it."""
        del texts
        self.void()

    def void(self) -> None:
        """They go from the screen."""
        self._came = [""] * len(self._came)
        self._changed = False
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _draw(self) -> None:
        from rich.live import Live
        from rich.text import Text

        blocks = Text("\n").join(self._blocks())
        if self._live is None:
            self._live = Live(
                console=self._console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()
        self._live.update(blocks, refresh=True)

    def _blocks(self) -> "list[Text]":
        """As many choices as fit, with their labels and as many last lines as there is room for."""
        from rich.text import Text

        width, height = self._console.size
        room = max(2, height - 1)
        fitting = min(len(self._came), room // 2)
        lines = room // fitting - 1
        made = []
        for index, came in enumerate(self._came[:fitting]):
            # No more than could be shown is looked at, however long the answer is.
            tail = Text(printable(came[-lines * width :]))
            shown = tail.wrap(self._console, width)[-lines:]
            made.append(Text(label(index, len(self._came)), "bold"))
            made.extend(shown)
        return made
