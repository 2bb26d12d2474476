"""What docs/records.md says of the records is what they are, and its program does what it says."""

import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson
import pytest

from broker.records.calls import CallEvent
from broker.records.completion import Completion, Failure, encode_completion
from broker.records.data_refs import DataRef
from broker.records.dead_letter import dead_letter_headers
from broker.records.incoming import Source
from broker.records.prompt import KINDS, PRIORITIES
from broker.records.tenants import Charged
from broker.records.work import RouteStep, Work, encode_work
from tests.system.conversation import Conversation, Place

PAGE = (Path(__file__).parents[2] / "docs" / "records.md").read_text()
NAME = re.compile(r"`([a-z][a-z_0-9]*)`")


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {re.escape(title)}.*?(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def told(title: str) -> set[str]:
    """The names in the first column of the section's table of fields."""
    table = section(title).split("| field |")[1].split("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:]]
    return {name for row in rows for name in NAME.findall(row)}


def test_a_completion_has_the_fields_that_the_page_tells() -> None:
    completion = Completion(
        *("id", "tenant", "failed", "chat", "model", "provider", "model", "light"),
        *(1, 1, 1, 0.0),
        accepted_at=0.0,
        completed_at=0.0,
        queued_ms=0,
        provider_ms=0,
        calls=1,
        data=DataRef("file:///data", 1, "0" * 64),
    )
    assert told("Completions: `llm.completions`") == set(
        orjson.loads(encode_completion(completion))
    )
    why = {field.name for field in fields(Failure)}
    assert why == why & set(NAME.findall(section("Completions: `llm.completions`")))


def test_a_work_record_has_the_fields_that_the_page_tells() -> None:
    work = Work(
        *("id", "tenant", "chat", "model", "batch", None, 9.0, False, 1.0, Source(0, 1), 3, 10),
        *("heavy", 1, 2, 0, (RouteStep("provider", "why", 1.0),), {"prompt": "?"}, {}),
        weighed="as others",
        not_before=2.0,
        apart=0.5,
        charged=Charged(0, 1.0, 2, 0.1),
    )
    assert told("Work: `llm.work.<provider>`") == set(orjson.loads(encode_work(work)))


def test_the_journal_has_the_fields_that_the_page_tells() -> None:
    assert told("The journal: `llm.calls`") == {field.name for field in fields(CallEvent)}


def test_a_dead_letter_has_the_headers_that_the_page_tells() -> None:
    class At:
        topic, partition, offset = "llm.prompts", 1, 2

    headers = dead_letter_headers(At(), stage="s", error="e", message="m", attempt=0, at=0.0)
    page = section("Dead letters: `llm.prompts-dlt`")
    assert {f"`{name}`" for name, _ in headers} <= set(re.findall(r"`dlt-[a-z]+`", page))


def test_every_field_of_a_prompt_that_the_page_tells_is_looked_at(talk: Conversation) -> None:
    """Each of them may be wrong, and is then refused by its name."""
    texts = {"prompt", "messages", "input"}
    places = {
        name: talk.write(
            orjson.dumps({name: {}} if name in texts else {"prompt": "?", name: [7]}), 0
        )
        for name in told("Prompts: `llm.prompts`")
    }
    found = refused(talk, places.values())
    for name, place in places.items():
        assert f"`{name}`" in found[place.id]["message"], (name, found[place.id])


def refused(talk: Conversation, places: Iterable[Place]) -> Mapping[str, Any]:
    done = talk.completions(place.id for place in places)
    assert {found.body["status"] for found in done.values()} == {"failed"}
    return {identity: found.body["error"] for identity, found in done.items()}


@pytest.mark.parametrize("word", [*KINDS, *PRIORITIES])
def test_every_word_that_a_prompt_may_say_is_told(word: str) -> None:
    assert f"`{word}`" in section("Prompts: `llm.prompts`")


def test_the_program_of_the_page_gets_its_answer(talk: Conversation, tmp_path: Path) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    for said, here in {
        "HOST:PORT": talk.settings.kafka.bootstrap,
        '"llm.prompts"': f'"{talk.topics.prompts}"',
        '"llm.completions"': f'"{talk.topics.completions}"',
    }.items():
        assert said in program
        program = program.replace(said, here)
    path = tmp_path / "program.py"
    path.write_text(program)
    ended = subprocess.run(
        [sys.executable, path], capture_output=True, text=True, timeout=90, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("succeeded ")
    assert len(ended.stdout) > len("succeeded None\n")
