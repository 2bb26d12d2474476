"""`weighbridge send --stream` with several choices: each is shown whole, and which is which."""

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from broker.records.completion import Completion
from broker.settings import Settings
from tests.cli.answering import answering
from tests.cli.running import run, started
from tests.cli.test_send_stream import FIRST, SECOND, Writer, written
from tests.cli.test_send_watch_terminal import finished, on_terminal, screen_of
from tests.story.seeding import completion_of, small

TEXTS = ("One is blue.", "Two is red,\nand two lines.", "Three is green.")
MIXED = ((2, "Three "), (0, "One "), (1, "Two is"), (2, "is green."), (1, " red,\nand "))
REST = ((0, "is blue."), (1, "two lines."))
IN_TURN = "\n\n".join(f"Choice {at} of 3:\n{text}" for at, text in enumerate(TEXTS, 1)) + "\n"

Pieces = Sequence[tuple[int, str]]


@pytest.fixture
def made(settings: Settings) -> Settings:
    return small(settings)


def whole(identity: str, texts: Sequence[str] = TEXTS) -> Completion:
    """As a worker's: the first choice is the text, the body has all."""
    rows = [
        {"index": at, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        for at, text in enumerate(texts)
    ]
    body = {"choices": rows[::-1]}
    return completion_of(identity, time.time(), text=texts[0], body=body)


def write(to: Writer, identity: str, pieces: Pieces, *, seq: int = 1, call: Any = FIRST) -> int:
    """These pieces; the number of the next record."""
    for number, (index, text) in enumerate(pieces, seq):
        to.write(identity, number, "piece", call, text=text, choice=(index, None))
    return seq + len(pieces)


def end(to: Writer, identity: str, seq: int, *, call: Any = FIRST) -> None:
    for index in range(3):
        to.write(identity, seq + index, "piece", call, choice=(index, "stop"))
    to.write(identity, seq + 3, "ended", call)


def saying(
    settings: Settings, stream: Callable[[Writer, str], None]
) -> Callable[[str, dict[str, Any]], Completion]:
    writer = Writer(settings)

    def answer(identity: str, fields: dict[str, Any]) -> Completion:
        assert (fields["n"], fields["stream"]) == (3, True)
        stream(writer, identity)
        return whole(identity)

    return answer


def asked(*ids: str) -> str:
    return "\n".join(orjson.dumps({"id": one, "prompt": "?", "n": 3}).decode() for one in ids)


def mixed(to: Writer, identity: str) -> None:
    to.write(identity, 0, "started")
    end(to, identity, write(to, identity, (*MIXED, *REST)))


def test_where_it_is_piped_they_come_in_turn_whatever_order_the_pieces_have(
    made: Settings,
) -> None:
    with answering(made, saying(made, mixed)):
        ran = run(made, "send", "-", "--stream", stdin=asked("p"))
    assert ran.out == IN_TURN
    assert "missing" not in ran.err


def test_waiting_for_the_whole_answer_prints_the_same(made: Settings) -> None:
    with answering(made, lambda identity, _fields: whole(identity)):
        assert run(made, "send", "-", "--wait", stdin=asked("p")).out == IN_TURN


def test_the_end_of_every_choice_is_taken_from_the_completion(made: Settings) -> None:
    def stream(to: Writer, identity: str) -> None:
        to.write(identity, 0, "started")
        write(to, identity, MIXED)

    with answering(made, saying(made, stream)):
        assert run(made, "send", "-", "--stream", stdin=asked("p")).out == IN_TURN


def test_a_piece_that_never_came_is_made_good_by_all_choices(
    made: Settings, tmp_path: Path
) -> None:
    seen = threading.Event()

    def with_a_gap(to: Writer, identity: str) -> None:
        to.write(identity, 0, "started")
        end(to, identity, write(to, identity, ((0, "One blue."), *MIXED[2:3]), seq=2))
        assert seen.wait(40)

    file = tmp_path / "q.jsonl"
    file.write_text(asked("q"))
    with (
        answering(made, saying(made, with_a_gap)),
        started(made, "send", "--file", str(file), "--stream") as process,
    ):
        out, err = written(process, "Two is", seen)
    assert out.startswith("Choice 1 of 3:\nOne blue.\n\nChoice 2 of 3:\nTwo is\n")
    assert out.endswith(IN_TURN)
    assert "q: pieces were missing above" in err


def test_a_call_that_fails_makes_all_choices_void(made: Settings) -> None:
    def stream(to: Writer, identity: str) -> None:
        to.write(identity, 0, "started")
        to.write(identity, write(to, identity, MIXED), "failed", code="stream_cut")
        to.write(identity, 0, "started", SECOND)
        end(to, identity, write(to, identity, (*MIXED, *REST), call=SECOND), call=SECOND)

    with answering(made, saying(made, stream)):
        ran = run(made, "send", "-", "--stream", stdin=asked("p"))
    assert ran.out == "Choice 1 of 3:\nOne \n" + IN_TURN
    assert "p: azure failed in the middle (stream_cut); what stands above is void." in ran.err


def test_beside_other_prompts_each_line_names_its_choice(made: Settings) -> None:
    with answering(made, saying(made, mixed)):
        ran = run(made, "send", "-", "--stream", stdin=asked("a", "b"))
    lines = ran.out.splitlines()
    for identity in "ab":
        for number, text in enumerate(TEXTS, 1):
            name = f"{identity} #{number} | "
            own = [line.removeprefix(name) for line in lines if line.startswith(name)]
            assert own == text.split("\n")
        assert sum(line.startswith(f"{identity}  succeeded") for line in lines) == 1


def test_on_a_terminal_all_grow_at_once_and_then_stand_below_each_other(made: Settings) -> None:
    seen = threading.Event()

    def stream(to: Writer, identity: str) -> None:
        to.write(identity, 0, "started")
        seq = write(to, identity, MIXED)
        assert seen.wait(40), "nothing was shown before the answer was whole"
        end(to, identity, write(to, identity, REST, seq=seq))

    with (
        answering(made, saying(made, stream)),
        on_terminal(made, "send", "-", "--stream") as child,
    ):
        child.send(asked("p") + "\n")
        child.sendeof()
        # Each frame draws all of them again.
        next_one = r"\s+\S*Choice {} of 3:\S*\s+"
        blocks = ("One ", "Two is red,\r\nand ", "Three is green.")
        frame = (next_one.format(at) + text for at, text in enumerate(blocks, 1))
        child.expect("".join(frame))
        before = str(child.before) + str(child.after)
        seen.set()
        shown = screen_of(before + finished(child))
        assert child.exitstatus == 0
    assert shown[-7:] == [line for line in IN_TURN.splitlines() if line]
    assert "\n".join(shown).count("Choice 2 of 3:") == 1


def test_a_long_answer_on_a_low_terminal_is_printed_whole_at_its_end(made: Settings) -> None:
    long = tuple(f"{at}: " + "word " * 2_000 + f"end {at}" for at in range(3))

    def answer(identity: str, _fields: dict[str, Any]) -> Completion:
        writer = Writer(made)
        writer.write(identity, 0, "started")
        end(writer, identity, write(writer, identity, [(at, long[at]) for at in (2, 0, 1)]))
        return whole(identity, long)

    with answering(made, answer), on_terminal(made, "send", "-", "--stream") as child:
        child.send(asked("p") + "\n")
        child.sendeof()
        told = finished(child).replace("\r\n", "")
    for text in long:
        assert text in told
