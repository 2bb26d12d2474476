"""What we ask of OpenAI's family for a chat, beside what the official SDK asks for the same."""

from collections.abc import Mapping

import pytest
from openai import OpenAI

from tests.wire.openai_comparing import DIALECTS, MODEL, ours, same
from tests.wire.openai_prompts import CHATS, STREAM, WHOLE
from tests.wire.recording import Recording

EXTRA = {"top_k": 20, "min_p": 0.1, "repetition_penalty": 1.1, "guided_choice": ["a", "b"]}
"""Fields of vLLM's own."""


@pytest.mark.parametrize("tried", CHATS)
@pytest.mark.parametrize("spoken", DIALECTS)
def test_a_chat_is_asked_for_as_the_sdk_does(
    server: Recording, sdks: Mapping[str, OpenAI], spoken: str, tried: str
) -> None:
    dialect, (fields, given) = DIALECTS[spoken], CHATS[tried]
    server.answers(WHOLE)
    said = sdks[spoken].chat.completions.create(model=MODEL, **given)
    theirs = server.last
    result = ours(server, dialect, fields)
    assert result.answer is not None
    assert said.choices[0].message.content == result.answer.text == "Yes."
    same(theirs, server.last, dialect)


@pytest.mark.parametrize("spoken", DIALECTS)
@pytest.mark.parametrize("tried", ["plain", "n", "tools", "in the form of Responses"])
def test_a_stream_is_asked_for_with_its_usage(
    server: Recording, sdks: Mapping[str, OpenAI], spoken: str, tried: str
) -> None:
    dialect, (fields, given) = DIALECTS[spoken], CHATS[tried]
    server.answers(STREAM)
    with sdks[spoken].chat.completions.create(
        model=MODEL, stream=True, stream_options={"include_usage": True}, **given
    ) as stream:
        chunks = list(stream)
    theirs = server.last
    result = ours(server, dialect, {**fields, "stream": True})
    assert result.answer is not None
    told = [c.delta.content for chunk in chunks for c in chunk.choices if c.index == 0]
    assert "".join(filter(None, told)) == result.answer.text == "Yes."
    assert chunks[-1].usage is not None
    assert result.usage.input_tokens == chunks[-1].usage.prompt_tokens
    same(theirs, server.last, dialect)


def test_fields_that_only_vllm_knows_are_passed_on(
    server: Recording, sdks: Mapping[str, OpenAI]
) -> None:
    dialect = DIALECTS["vllm"]
    server.answers(WHOLE)
    sdks["vllm"].chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "Why?"}], extra_body=EXTRA
    )
    theirs = server.last
    ours(server, dialect, {"prompt": "Why?", **EXTRA})
    same(theirs, server.last, dialect)


def test_spillover_is_asked_for_and_who_answered_is_noted(server: Recording) -> None:
    base = DIALECTS["azure"]
    spilling = base.settings.model_copy(update={"spillover_deployment": "standard"})
    for fields, reply in (({"prompt": "Why?"}, WHOLE), ({"prompt": "?", "stream": True}, STREAM)):
        server.answers(reply, x_ms_deployment_name="standard", x_ms_spillover_from_deployment="ptu")
        result = ours(server, type(base)(spilling, base=""), fields)
        assert server.last.headers["x-ms-spillover-deployment"] == "standard"
        assert result.notes == {"deployment": "standard", "spillover_from": "ptu"}
