"""`weighbridge send` as a user types it, with answers written by the test."""

import io
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import orjson
import pytest

from broker.cli.send_run import Sending
from broker.cli.send_view import SendView
from broker.core.dedupe import home_partition
from broker.load.prompt_files import opened_stream
from broker.load.sender import PromptSender
from broker.log.embedded import EmbeddedKafka
from broker.log.topic_names import TopicNames
from broker.records.completion import Completion
from broker.settings import Settings, load_settings
from broker.story.log_reader import LogReader
from tests.cli.answering import answering, echo
from tests.cli.running import run
from tests.story.seeding import Seeder, completion_of, small


@pytest.fixture
def made(settings: Settings) -> Settings:
    return small(settings)


def prompts(settings: Settings) -> list[dict[str, Any]]:
    """What is in the prompts' topic; every one in the home partition of its key."""
    found = []
    with LogReader(settings) as reader:
        for batch in reader.read(reader.spans(TopicNames(settings.kafka.prefix).prompts)):
            for message in batch:
                identity = message.key().decode()
                assert message.partition() == home_partition(identity, settings.topics.prompts)
                fields = orjson.loads(message.value())
                assert fields["id"] == identity
                found.append(fields)
    return found


def test_a_text_gets_an_id_that_is_printed(made: Settings) -> None:
    ran = run(made, "send", "Why is the sky blue?")
    assert len(ran.out.strip()) == 32
    assert prompts(made) == [{"id": ran.out.strip(), "prompt": "Why is the sky blue?"}]


def test_options_become_fields_of_the_prompt(made: Settings) -> None:
    ran = run(
        made,
        *("send", "{no JSON, but a prompt", "--id", "mine", "--tenant", "acme"),
        *("--model", "chat-large", "--priority", "batch", "--provider", "azure"),
        *("--max-output-tokens", "12", "--timeout", "30", "--json"),
    )
    assert ran.json() == {"id": "mine", "partition": home_partition("mine", 2), "offset": 0}
    assert prompts(made) == [
        {
            "id": "mine",
            "tenant": "acme",
            "model": "chat-large",
            "priority": "batch",
            "provider": "azure",
            "max_output_tokens": 12,
            "timeout_s": 30.0,
            "prompt": "{no JSON, but a prompt",
        }
    ]


def test_the_answer_to_standard_input_is_printed(made: Settings) -> None:
    with answering(made) as came:
        ran = run(made, "send", "-", "--wait", stdin="Why is the sky blue?\n")
    assert ran.out == "WHY IS THE SKY BLUE?\n"
    assert came[0]["id"] in ran.err
    assert came[0]["prompt"] == "Why is the sky blue?"


def test_an_answer_that_stood_there_before_is_not_taken_for_a_new_one(made: Settings) -> None:
    seeder = Seeder(made)
    seeder.completion(completion_of("again", time.time(), text="the old one"))
    seeder.flush()
    with answering(made):
        ran = run(made, "send", "the new one", "--id", "again", "--wait")
    assert ran.out == "THE NEW ONE\n"


def test_many_answers_as_json_lines(made: Settings, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    own = [{"id": f"p-{n}", "prompt": f"Question {n}?", "tenant": "own"} for n in range(50)]
    own[7].pop("tenant")
    file.write_bytes(b"\n".join(map(orjson.dumps, own)))
    with answering(made):
        ran = run(made, "send", "--file", str(file), "--tenant", "acme", "--wait", "--json")
    found = {line["id"]: line for line in ran.lines()}
    assert found.keys() == {f"p-{n}" for n in range(50)}
    assert found["p-3"]["text"] == "QUESTION 3?"
    assert [name for name, line in found.items() if line["tenant"] == "acme"] == ["p-7"]
    assert "50 succeeded" in ran.err


def test_many_answers_for_a_person(made: Settings) -> None:
    with answering(made):
        lines = '{"id":"a","prompt":"one"}\n{"id":"b","prompt":"two"}\n'
        ran = run(made, "send", "-", "--wait", stdin=lines)
    blocks = {block.split("  ")[0]: block for block in ran.out.strip().split("\n\n")}
    assert blocks["a"].endswith("\nONE")
    assert blocks["b"].endswith("\nTWO")
    assert "succeeded  azure  light" in blocks["a"]


def test_a_csv_and_the_columns_it_leaves_out(made: Settings, tmp_path: Path) -> None:
    file = tmp_path / "prompts.csv"
    file.write_text("id,prompt,max_output_tokens,notes\na,First?,5,x\n,Second?,,y\n")
    ran = run(made, "send", "--file", str(file))
    assert "notes" in ran.err
    assert len(ran.out.split()) == 2
    found = {fields["prompt"]: fields for fields in prompts(made)}
    assert found["First?"] == {"id": "a", "prompt": "First?", "max_output_tokens": 5}
    assert found["Second?"].keys() == {"id", "prompt"}


def test_one_that_does_not_succeed_is_exit_code_1(made: Settings) -> None:
    def answer(identity: str, fields: dict[str, Any]) -> Completion | None:
        status = "failed" if "fail" in fields["prompt"] else "succeeded"
        return completion_of(identity, time.time(), status=status)

    with answering(made, answer):
        one = run(made, "send", "please fail", "--wait", expect=1)
        assert one.out == ""
        assert "The provider failed." in one.err
        two = run(
            made,
            *("send", "-", "--wait", "--json"),
            stdin='{"id":"good","prompt":"x"}\n{"id":"bad","prompt":"fail"}',
            expect=1,
        )
    assert {line["id"]: line["status"] for line in two.lines()} == {
        "good": "succeeded",
        "bad": "failed",
    }
    assert "1 failed" in two.err


def test_answers_that_do_not_come_in_time_are_exit_code_3(made: Settings) -> None:
    with answering(made, lambda name, fields: echo(name, fields) if name != "slow" else None):
        ran = run(
            made,
            *("send", "-", "--wait", "--wait-s", "4", "--json"),
            stdin='{"id":"quick","prompt":"x"}\n{"id":"slow","prompt":"y"}',
            expect=3,
        )
    assert [line["id"] for line in ran.lines()] == ["quick"]
    assert "1 of 2 prompts were not answered within 4 s: slow" in ran.err


def test_a_broken_line_is_named_and_nothing_is_sent(made: Settings, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt":"fine"}\n{"prompt":"also fine"}\n{"prompt": broken}\n')
    ran = run(made, "send", "--file", str(file), expect=2)
    assert "Line 3" in ran.err
    assert prompts(made) == []
    ran = run(made, "send", "-", stdin=file.read_bytes(), expect=2)
    assert "Line 3 of standard input" in ran.err
    assert prompts(made) == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("send",), "nothing to send"),
        (("send", "text", "--file", "x.jsonl"), "Both TEXT and --file"),
        (("send", "--file", "not-there.jsonl"), "cannot be read"),
        (("send", ""), "There is no prompt"),
        (("send", "Why?", "--id", "no good"), "--id is wrong"),
        (("send", "Why?", "--id", "1-2"), "two numbers"),
        (("send", "Why?", "--priority", "urgent"), "urgent"),
        (("send", "Why?", "--max-output-tokens", "0"), "--max-output-tokens"),
    ],
)
def test_what_cannot_be_sent_is_exit_code_2(
    settings: Settings, arguments: tuple[str, ...], told: str
) -> None:
    assert told in run(settings, *arguments, expect=2).err


def test_an_id_for_many_prompts_is_refused(settings: Settings) -> None:
    lines = '{"prompt":"one"}\n{"prompt":"two"}\n'
    assert "there are 2" in run(settings, "send", "-", "--id", "a", stdin=lines, expect=2).err


def test_a_text_that_is_no_utf8_is_refused(made: Settings) -> None:
    assert "UTF-8" in run(made, "send", "-", stdin=b"caf\xe9", expect=2).err
    assert "UTF-8" in run(made, "send", b"caf\xe9".decode("utf-8", "surrogateescape"), expect=2).err


def test_no_topics_are_exit_code_3(settings: Settings) -> None:
    assert "topics apply" in run(settings, "send", "Why?", expect=3).err
    assert "topics apply" in run(settings, "send", "Why?", "--wait", expect=3).err


def test_a_prompt_over_the_topics_limit_is_named(made: Settings, tmp_path: Path) -> None:
    file = tmp_path / "prompts.jsonl"
    large = "".join(map(str, range(200_000)))[:1_048_500]
    file.write_bytes(
        orjson.dumps({"id": "small", "prompt": "x"})
        + b"\n"
        + orjson.dumps({"id": "large", "prompt": large})
    )
    ran = run(made, "send", "--file", str(file), "--tenant", "t" * 100, expect=1)
    assert "large" in ran.err
    assert "accepted 1 of 2" in ran.err
    assert ran.out == "small\n"


def test_a_broker_that_goes_away_is_told_and_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broker = EmbeddedKafka(tmp_path / "kafka", profile="short", owned=True)
    back = threading.Timer(7.0, broker.start, [120])
    try:
        made = small(load_settings(kafka={"bootstrap": broker.start(120).bootstrap}))
        accepted: deque[tuple[str, int, int]] = deque()
        with (
            PromptSender(made, on_acknowledged=lambda *place: accepted.append(place)) as sender,
            SendView(3, waiting=False, as_json=False) as view,
            opened_stream(io.BytesIO(b'{"prompt":"1"}\n' * 3), "it") as file,
        ):
            broker.stop()
            back.start()
            Sending(sender, None, view, accepted).send_all(file, {"tenant": "acme"})
        told = capsys.readouterr()
        assert "Kafka acknowledges nothing" in told.err
        assert len(told.out.split()) == len(prompts(made)) == 3
    finally:
        back.join(130)
        broker.stop()
