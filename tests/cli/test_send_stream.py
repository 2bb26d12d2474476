"""`weighbridge send --stream`: answers that grow, also when a call fails in the middle."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from broker.core.dedupe import home_partition
from broker.records.chunk import CallName, ChunkWriter
from broker.records.completion import Completion
from broker.settings import Settings
from tests.cli.answering import answering
from tests.cli.running import run, started
from tests.cli.test_send_watch_terminal import finished, on_terminal, screen_of
from tests.story.seeding import Seeder, completion_of, small

if TYPE_CHECKING:
    import subprocess

ANSWER = "Because of Rayleigh: short waves are scattered more."
FIRST, SECOND = CallName(1, 1_000.0), CallName(2, 1_001.0)


@pytest.fixture
def made(settings: Settings) -> Settings:
    return small(settings)


class Writer:
    """Writes chunks as a worker would."""

    def __init__(self, settings: Settings) -> None:
        self._seeder = Seeder(settings)
        self._partitions = settings.topics.chunks

    def write(
        self,
        identity: str,
        seq: int,
        event: str,
        call: CallName = FIRST,
        *,
        text: str = "",
        choice: tuple[int, str | None] = (0, None),
        **last: Any,
    ) -> None:
        """One record, in the log when this returns; `choice` is its index and why it ends."""
        provider = "azure" if call == FIRST else "google"
        made = ChunkWriter(
            prompt_id=identity, tenant="t", provider=provider, model="chat-small", call=call
        )
        if event == "started":
            value = made.started(seq, time.time())
        elif event == "piece":
            value = made.piece(seq, time.time(), choice[0], {"content": text}, choice[1])
        else:
            value = made.last(seq, event, time.time(), **last)  # type: ignore[arg-type]  # a word of the contract
        place = home_partition(identity, self._partitions)
        self._seeder.write(self._seeder.topics.chunks, value, place, key=made.key)
        self._seeder.flush()

    def call(
        self, identity: str, texts: Sequence[str], end: str | None, call: CallName = FIRST
    ) -> None:
        """A whole call; `end` None is one that was killed."""
        self.write(identity, 0, "started", call)
        for seq, text in enumerate(texts, 1):
            self.write(identity, seq, "piece", call, text=text)
        if end is not None:
            code = "stream_cut" if end == "failed" else None
            self.write(identity, len(texts) + 1, end, call, code=code)


def streaming(
    settings: Settings, stream: Callable[[Writer, str], None], text: str = ANSWER
) -> Callable[[str, dict[str, Any]], Completion]:
    """Answers each prompt with a stream and then its completion."""
    writer = Writer(settings)

    def answer(identity: str, fields: dict[str, Any]) -> Completion:
        assert fields["stream"] is True
        stream(writer, identity)
        return completion_of(identity, time.time(), text=text)

    return answer


def written(process: "subprocess.Popen[str]", until: str, then: threading.Event) -> tuple[str, str]:
    """All that it writes; `then` is set when it has written this: its answer may come after it."""
    assert process.stdout is not None
    assert process.stderr is not None
    out = ""
    while until not in out:
        out += process.stdout.read(1) or "(it ended)" + until
    then.set()
    return out + process.stdout.read(), process.stderr.read()


def pieces(text: str) -> list[str]:
    return [text[at : at + 9] for at in range(0, len(text), 9)]


def test_an_answer_is_its_pieces_and_one_line_end(made: Settings) -> None:
    answer = streaming(made, lambda to, identity: to.call(identity, pieces(ANSWER), "ended"))
    with answering(made, answer):
        ran = run(made, "send", "Why is the sky blue?", "--stream")
    assert ran.out == ANSWER + "\n"
    assert "void" not in ran.err


def test_it_grows_while_the_call_is_still_running(made: Settings) -> None:
    seen = threading.Event()

    def stream(to: Writer, identity: str) -> None:
        to.write(identity, 0, "started")
        to.write(identity, 1, "piece", text="Because of ")
        assert seen.wait(40), "nothing was printed before the answer was whole"
        to.write(identity, 2, "piece", text=ANSWER[11:])

    with (
        answering(made, streaming(made, stream)),
        on_terminal(made, "send", "Why?", "--stream") as child,
    ):
        child.expect("Because of ")
        before = (child.before or "") + str(child.after)
        seen.set()
        written = before + finished(child)
        assert child.exitstatus == 0
    shown = screen_of(written)
    assert shown[0].startswith("Sent ")
    assert shown[1:] == [ANSWER]


@pytest.mark.parametrize("how", ["failed", None])
def test_what_a_failed_or_killed_call_said_is_told_to_be_void(
    made: Settings, how: str | None
) -> None:
    def stream(to: Writer, identity: str) -> None:
        to.call(identity, ["Half an ", "answ"], how)
        # What the first call still writes belongs to nothing any more.
        to.write(identity, 0, "started", SECOND)
        to.write(identity, 3, "piece", FIRST, text="er")
        to.call(identity, pieces(ANSWER), "ended", SECOND)

    with answering(made, streaming(made, stream)):
        ran = run(made, "send", "Why?", "--id", "mine", "--stream")
    assert ran.out == f"Half an answ\n{ANSWER}\n"
    what = "failed in the middle (stream_cut)" if how else "broke off, and google begins again"
    assert what in ran.err
    assert "what stands above is void" in ran.err


def test_a_piece_that_never_came_is_made_good_by_the_completion(made: Settings) -> None:
    seen = threading.Event()

    def stream(to: Writer, identity: str) -> None:
        to.write(identity, 0, "started")
        to.write(identity, 1, "piece", text="Because ")
        to.write(identity, 3, "piece", text="Rayleigh")
        assert seen.wait(40)

    with (
        answering(made, streaming(made, stream)),
        started(made, "send", "Why?", "--id", "mine", "--stream") as process,
    ):
        out, err = written(process, "Rayleigh", seen)
    assert out == f"Because Rayleigh\n{ANSWER}\n"
    assert "pieces were missing" in err


def test_an_answer_without_pieces_is_printed_all_the_same(made: Settings) -> None:
    with answering(made, streaming(made, lambda _to, _identity: None)):
        assert run(made, "send", "Why?", "--stream").out == ANSWER + "\n"


def test_json_has_each_piece_as_it_stands_in_the_topic_and_then_the_completion(
    made: Settings,
) -> None:
    def stream(to: Writer, identity: str) -> None:
        to.call(identity, ["Half"], "failed")
        to.call(identity, [ANSWER], "ended", SECOND)

    with answering(made, streaming(made, stream)):
        lines = run(made, "send", "Why?", "--id", "mine", "--stream", "--json").lines()
    told = [(line.get("event"), line.get("attempt")) for line in lines]
    calls = [
        (event, attempt)
        for attempt, end in ((1, "failed"), (2, "ended"))
        for event in ("started", "piece", end)
    ]
    assert told == [*calls, (None, None)]
    assert lines[4]["delta"] == {"content": ANSWER}
    assert (lines[-1]["status"], lines[-1]["text"]) == ("succeeded", ANSWER)


def test_several_answers_grow_side_by_side_in_lines_with_their_ids(made: Settings) -> None:
    long = "First line.\n" + "word " * 40 + "end"
    answer = streaming(made, lambda to, name: to.call(name, pieces(long), "ended"), long)
    with answering(made, answer):
        asked = '{"id":"a","prompt":"one"}\n{"id":"b","prompt":"two"}\n'
        ran = run(made, "send", "-", "--stream", stdin=asked)
    lines = ran.out.splitlines()
    for identity in ("a", "b"):
        own = [line for line in lines if line.startswith(f"{identity} ")]
        assert own[0] == f"{identity} | First line."
        assert own[-1].startswith(f"{identity}  succeeded  azure  light")
        words = " ".join(line.removeprefix(f"{identity} | ") for line in own[1:-1])
        assert words == "word " * 40 + "end"
        assert max(map(len, own)) <= 100
    assert "Sent 2 prompts: 2 succeeded." in ran.err


def test_a_stream_cannot_steer_the_terminal(made: Settings) -> None:
    text = "before\x1b[2Jafter"
    answer = streaming(made, lambda to, name: to.call(name, [text[:8], text[8:]], "ended"), text)
    with answering(made, answer), on_terminal(made, "send", "Why?", "--stream") as child:
        written = finished(child)
    assert "\x1b[2J" not in written
    assert "after" in written


def test_a_reader_that_went_away_ends_it_quietly(made: Settings) -> None:
    go = threading.Event()

    def stream(to: Writer, identity: str) -> None:
        assert go.wait(40)
        for seq in range(200):
            to.write(identity, seq + 1, "piece", text="x" * 9_000)

    with (
        answering(made, streaming(made, stream)),
        started(made, "send", "Why?", "--stream") as process,
    ):
        assert process.stdout is not None
        process.stdout.close()
        go.set()
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
