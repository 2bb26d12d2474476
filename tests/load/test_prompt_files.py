"""Prompts as people write them: every form, every way to get it wrong, told with its line."""

import csv
import io
import os
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.load.prompt_files import PromptFile, given_text, opened_file, opened_stream
from broker.log.topic_plan import PROMPT_BYTES
from broker.records.errors import UsageError


def read(data: bytes, path: Path) -> list[tuple[int, dict[str, Any]]]:
    path.write_bytes(data)
    with opened_file(path) as prompts:
        found = [(one.line, dict(one.fields)) for one in prompts]
        assert found == [(one.line, dict(one.fields)) for one in prompts], "the second time"
    return found


def piped(data: bytes) -> list[tuple[int, dict[str, Any]]]:
    with opened_stream(io.BytesIO(data), "standard input") as prompts:
        return [(one.line, dict(one.fields)) for one in prompts]


def test_json_lines_with_empty_ones_and_a_mark_at_the_beginning(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbf{"prompt":"one"}\n\n  {"prompt":"two","id":"b","x":[1]}\r\n{"prompt":"3"}'
    wanted = [
        (1, {"prompt": "one"}),
        (3, {"prompt": "two", "id": "b", "x": [1]}),
        (4, {"prompt": "3"}),
    ]
    assert read(data, tmp_path / "prompts.jsonl") == wanted
    assert read(data, tmp_path / "prompts") == wanted
    assert piped(data) == wanted


@pytest.mark.parametrize("data", [b'{"prompt": "one"}', b'{\n  "prompt": "one"\n}\n'])
def test_one_object_on_one_line_or_over_many(data: bytes, tmp_path: Path) -> None:
    assert read(data, tmp_path / "prompt.json") == [(1, {"prompt": "one"})]
    assert piped(data) == [(1, {"prompt": "one"})]


def test_other_input_is_one_text_as_it_is() -> None:
    assert piped(b"Why is the sky blue?\n") == [(1, {"prompt": "Why is the sky blue?"})]
    assert piped(b"First line,\n\n  second.\n\n") == [(1, {"prompt": "First line,\n\n  second."})]
    assert piped("Größe?\n".encode()) == [(1, {"prompt": "Größe?"})]
    assert piped(b'["no", "object"]') == [(1, {"prompt": '["no", "object"]'})]
    with given_text('{"this": is no JSON') as prompts:
        assert [dict(one.fields) for one in prompts] == [{"prompt": '{"this": is no JSON'}]


def test_columns_become_fields_of_their_type(tmp_path: Path) -> None:
    data = (
        "id,prompt,tenant,max_output_tokens,temperature,stream,timeout_s,metadata,notes\r\n"
        'a,"Two lines,\nin one cell",acme,12,0.5,true,30,"{""k"":""v""}",x\r\n'
        ",Plain,,,,,,,\r\n"
        "\r\n"
        "c,Short row\r\n"
    ).encode("utf-8-sig")
    found = read(data, tmp_path / "prompts.csv")
    assert found == [
        (
            2,
            {
                "id": "a",
                "prompt": "Two lines,\nin one cell",
                "tenant": "acme",
                "max_output_tokens": 12,
                "temperature": 0.5,
                "stream": True,
                "timeout_s": 30.0,
                "metadata": {"k": "v"},
            },
        ),
        (4, {"prompt": "Plain"}),
        (6, {"id": "c", "prompt": "Short row"}),
    ]
    with opened_file(tmp_path / "prompts.csv") as prompts:
        assert prompts.left_out() == ["notes"]
        assert sum(1 for _ in prompts) == 3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"))
        .map(lambda text: f"x{text}")
        .filter(lambda text: "\x00" not in text),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_the_texts_are_both_forms_give_them_back(texts: list[str]) -> None:
    lines = b"\n".join(orjson.dumps({"prompt": text}) for text in texts)
    assert [fields["prompt"] for _, fields in piped(lines)] == texts
    out = io.StringIO(newline="")
    rows = csv.writer(out)
    rows.writerow(["prompt"])
    rows.writerows([text] for text in texts)
    with io.BytesIO(out.getvalue().encode()) as stream:
        found = [one.fields["prompt"] for one in PromptFile(stream, "it", "csv")]
    assert found == texts


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("a.jsonl", b'{"prompt":"1"}\n{"prompt": oops}\n', "Line 2 of .*: the JSON is broken"),
        ("a.jsonl", b'{"prompt":"1"}\n[1]\n', "Line 2 of .*: it is JSON, but not an object"),
        ("a.jsonl", b'{"prompt":"1"}\n"text"\n', "Line 2"),
        ("a.jsonl", b"just text\n", "Line 1 of .*: the JSON is broken"),
        ("a.jsonl", b'{"prompt":"1"}\n\n{"prompt":"\xff"}\n', "Line 3 of .*UTF-8"),
        ("a.jsonl", b'{"a":1,"a":2}\n{"prompt":"1"}\n', "Line 1 of .*more than once"),
        ("a.jsonl", b'{"prompt":"1","id":"no good"}\n{"prompt":"2"}', "Line 1 of .*the id must"),
        ("a.jsonl", b'{"prompt":"1"}\n{"prompt":"2","id":7}\n', "Line 2 of .*the id must"),
        ("a.jsonl", b'{"prompt":"1"}\n{"prompt":"2","id":"1-2"}\n', "Line 2 of .*two numbers"),
        ("a.jsonl", b'{"prompt":"1"}\n{"prompt":"' + b"x" * PROMPT_BYTES, "Line 2 of .*larger"),
        ("a.jsonl", b"\n\n", "There is no prompt"),
        ("a.jsonl", b"", "There is no prompt"),
        ("a.csv", b"", "There is no prompt"),
        ("a.csv", b"prompt\n\n", "There is no prompt"),
        ("a.csv", b"question,id\nWhy?,a\n", "Line 1 of .*no column `prompt`"),
        ("a.csv", b"prompt,id,prompt\nWhy?,a,b\n", "Line 1 of .*`prompt` more than once"),
        ("a.csv", b"prompt,n\nWhy?,1\nWhy?,two\n", "Line 3 of .*`n` must be a whole number"),
        ("a.csv", b"prompt,stream\nWhy?,perhaps\n", "Line 2 of .*`stream` must be true or false"),
        ("a.csv", b"prompt,timeout_s\nWhy?,nan\n", "Line 2 of .*`timeout_s` must be a number"),
        ("a.csv", b"prompt,metadata\nWhy?,{\n", "Line 2 of .*`metadata` must be JSON"),
        ("a.csv", b'prompt,id\n"a\nb",c\nWhy?,a b\n', "Line 4 of .*the id must"),
        ("a.csv", b"prompt,id\nWhy?,a,b\n", "Line 2 of .*3 cells, the header 2"),
        ("a.csv", b"prompt,id\nWhy?,a\n,b\n", "Line 3 of .*`prompt` is empty"),
        ("a.csv", b'prompt,id\n"Why?,a\n', "Line 2 of "),
        ("a.csv", b"prompt\nWhy?\n\xff\xfe\n", "UTF-8"),
        ("a", b"what is this", "no column `prompt`"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(
    name: str, data: bytes, told: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=told) as caught:
        read(data, tmp_path / name)
    assert "oops" not in str(caught.value), "what is written there may be a secret"


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "no prompt in standard input"),
        (b" \n\n", "no prompt in standard input"),
        (b"fine\nso far \xff", "Line 2 of standard input"),
        (b"x" * (PROMPT_BYTES + 1), "larger than a prompt may be"),
    ],
)
def test_bad_text_on_standard_input(data: bytes, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        piped(data)


def test_a_file_that_is_a_pipe_is_read_whole_and_twice(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writing = threading.Thread(target=pipe.write_bytes, args=(b'{"prompt":"1"}\n{"prompt":"2"}',))
    writing.start()
    with opened_file(pipe) as prompts:
        assert len(list(prompts)) == len(list(prompts)) == 2
    writing.join(10)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.jsonl", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"), opened_file(path):
            pass
