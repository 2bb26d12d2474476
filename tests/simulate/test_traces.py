"""Traces from files: both forms, what is wrong in them, and that they may begin again."""

from pathlib import Path

import orjson
import pytest

from broker.classifier.tokens import CountTokens, token_counter
from broker.load.traces import load_trace
from broker.records.errors import UsageError
from broker.simulate.asked import Asked
from broker.simulate.traces import EPOCH, read_traces
from tests.simulate.made import settings_of


def no_counter() -> CountTokens:
    raise AssertionError("nothing is to be counted")


def counter() -> CountTokens:
    return token_counter(32_768)


def read(*names: Path | str, prompts: int | None = None, speed: float = 1.0) -> tuple[Asked, ...]:
    catalog = settings_of().catalog()
    return read_traces(list(map(str, names)), catalog, no_counter, prompts=prompts, speed=speed)


def test_the_shipped_traces_are_all_there_in_order() -> None:
    prompts, recorded = read("conv", "code"), load_trace()
    assert len(prompts) == len(recorded) == 3_000
    assert {one.prompt.tenant for one in prompts} == {"chat-app", "code-assistant"}
    assert len({one.prompt.id for one in prompts}) == 3_000
    assert [one.input_tokens for one in prompts] == [one.input_tokens for one in recorded]
    assert [one.output_tokens for one in prompts] == [one.output_tokens for one in recorded]
    times = [one.prompt.accepted_at - EPOCH for one in prompts]
    assert times == sorted(times)
    assert times[-1] == pytest.approx(recorded[-1].at_s, abs=1e-3)


def test_the_form_in_which_the_whole_traces_are_published(tmp_path: Path) -> None:
    path = tmp_path / "azure.csv"
    path.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:17:03.9799600,4808,10\n"
        "2023-11-16 18:17:05.4799600,3180,8\n"
    )
    first, second = read(path)
    assert (first.prompt.id, first.prompt.tenant) == ("azure-00000", "azure")
    assert second.prompt.accepted_at - first.prompt.accepted_at == pytest.approx(1.5, abs=1e-4)
    assert (second.input_tokens, second.output_tokens) == (3_180, 8)


def test_a_trace_may_name_tenants_models_and_priorities(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "at_s,input_tokens,output_tokens,tenant,model,priority,note\n"
        "0,10,1,red,chat-small,batch,x\n1,10,1,,,,\n"
    )
    first, second = read(path)
    assert (first.prompt.tenant, first.prompt.priority) == ("red", "batch")
    assert (second.prompt.tenant, second.prompt.priority) == ("t", "standard")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n1,2\n", "no column for at and input and output"),
        ("at_s,input_tokens,output_tokens\n0,1,1\nx,1,1\n", "Line 3"),
        ("at_s,input_tokens,output_tokens\n0,-1,1\n", "Line 2"),
        ("at_s,input_tokens,output_tokens\n0,1\n", "Line 2"),
        ("at_s,input_tokens,output_tokens,priority\n0,1,1,soon\n", "interactive, standard, batch"),
        ("at_s,input_tokens,output_tokens,model\n0,1,1,none\n", "Known are: chat-small"),
    ],
)
def test_what_is_wrong_in_a_trace_is_named_with_its_line(
    tmp_path: Path, text: str, told: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"t\.csv") as caught:
        read(path)
    assert told in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read(tmp_path / "none.csv")


def test_prompts_of_our_own_are_counted_where_they_do_not_say(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    lines = [
        {"id": "a", "prompt": "Why is the sky blue?", "at_s": 2.0, "max_output_tokens": 50},
        {"id": "b", "tenant": "red", "at_s": 1.0, "input_tokens": 900, "output_tokens": 70},
        {"prompt": "x " * 50, "at_s": 3, "simulated_output_tokens": 5},
    ]
    path.write_bytes(b"\n".join(map(orjson.dumps, lines)))
    found = read_traces([str(path)], settings_of().catalog(), counter)
    assert [one.prompt.id for one in found[:2]] == ["b", "a"]
    assert (found[0].input_tokens, found[0].output_tokens) == (900, 70)
    assert (found[1].own_maximum, found[1].output_tokens) == (50, None)
    assert 7 <= found[1].input_tokens <= 12
    assert found[2].output_tokens == 5
    assert "blue" not in repr([one.prompt.fields for one in found])


@pytest.mark.parametrize(
    "line",
    ['{"prompt": "x", "at_s": "soon"}', '{"prompt": "x", "at_s": -1}', '{"model": "none"}', "x"],
)
def test_a_line_that_is_no_prompt_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "y"}\n' + line)
    with pytest.raises(UsageError, match="Line 2 of"):
        read_traces([str(path)], settings_of().catalog(), counter)


def test_a_trace_that_is_too_short_begins_again_with_other_ids(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("at_s,input_tokens,output_tokens\n0,1,1\n4,1,1\n")
    found = read(path, prompts=5, speed=2.0)
    assert len({one.prompt.id for one in found}) == 5
    at = [one.prompt.accepted_at - EPOCH for one in found]
    assert at == pytest.approx([0.0, 2.0, 2.05, 4.05, 4.1], abs=1e-3)
