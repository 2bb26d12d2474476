"""OpenAI's own SDK against the simulator's `/responses`, at OpenAI and Azure."""

from collections.abc import Iterator
from typing import Any

import openai
import orjson
import pytest
from openai.types.responses import Response

from tests.simulator.speaking import CHAT, Speaking
from tests.simulator.test_sdk_openai import WEATHER, client_of, provider_of

FORMS = ("openai", "azure-v1", "azure-deployments")


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def client(form: str, clouds: Speaking) -> Iterator[openai.OpenAI]:
    with client_of(form, clouds.url) as made:
        yield made


def test_a_whole_response(client: openai.OpenAI) -> None:
    made = client.responses.create(
        model=CHAT,
        instructions="Be short.",
        input=[{"role": "user", "content": "Why?"}],
        max_output_tokens=40,
    )
    assert isinstance(made, Response)
    assert made.status == "completed"
    assert made.output_text
    assert made.instructions == "Be short."
    assert made.usage is not None
    assert made.usage.output_tokens == 40
    assert made.usage.output_tokens_details.reasoning_tokens == 0


def test_the_events_of_a_stream_are_numbered_and_make_the_whole(client: openai.OpenAI) -> None:
    whole = client.responses.create(model=CHAT, input="Why?", max_output_tokens=40)
    with client.responses.create(
        model=CHAT, input="Why?", max_output_tokens=40, stream=True
    ) as stream:
        events = list(stream)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    last = events[-1]
    assert last.type == "response.completed"
    assert text == whole.output_text == last.response.output_text
    with client.responses.stream(model=CHAT, input="Why?", max_output_tokens=40) as helped:
        assert helped.get_final_response().output_text == text


def test_a_tool_is_called(client: openai.OpenAI) -> None:
    tool: Any = {"type": "function", "strict": False, **WEATHER["function"]}
    asked: Any = {"model": CHAT, "input": "Why?", "tools": [tool], "tool_choice": "required"}
    made = client.responses.create(**asked)
    call = made.output[-1]
    assert call.type == "function_call"
    assert call.name == "weather"
    assert set(orjson.loads(call.arguments)) == {"place", "days", "unit"}
    with client.responses.stream(**asked) as stream:
        streamed = stream.get_final_response().output[-1]
    assert streamed.type == "function_call"
    assert streamed.arguments == call.arguments


def test_structured_text_and_thinking(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"size": {"type": "integer"}}}
    form: Any = {"type": "json_schema", "name": "size", "schema": schema}
    made = client.responses.create(
        model=CHAT,
        input="Why?",
        reasoning={"effort": "medium"},
        text={"format": form},
    )
    assert isinstance(orjson.loads(made.output_text)["size"], int)
    assert [item.type for item in made.output] == ["reasoning", "message"]
    assert made.usage is not None
    assert made.usage.output_tokens_details.reasoning_tokens == 256


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"input": "Tell [[filter]]."}, "content_filter"),
        ({"extra_body": {"simulated_output_tokens": 99}}, "max_output_tokens"),
    ],
)
def test_what_ends_early_is_incomplete(
    client: openai.OpenAI, given: dict[str, Any], reason: str
) -> None:
    asked: Any = {"model": CHAT, "input": "Why?", "max_output_tokens": 30, **given}
    made = client.responses.create(**asked)
    assert made.status == "incomplete"
    assert made.incomplete_details is not None
    assert made.incomplete_details.reason == reason
    with client.responses.create(**asked, stream=True) as stream:
        events: Any = list(stream)
    assert events[-1].type == "response.incomplete"


def test_errors_are_their_exceptions(client: openai.OpenAI, form: str, clouds: Speaking) -> None:
    with pytest.raises(openai.BadRequestError):
        client.responses.create(model=CHAT, input="Tell [[refuse]].")
    with pytest.raises(openai.BadRequestError, match="max_output_tokens"):
        client.responses.create(model=CHAT, input="Why?", max_output_tokens=3)
    clouds.remote.set_faults(provider_of(form), {"rate_limited": 1.0})
    with pytest.raises(openai.RateLimitError):
        client.responses.create(model=CHAT, input="Why?")
    clouds.remote.set_faults(provider_of(form), {"stream_errors": 1.0}, keep=False)
    with client.responses.create(model=CHAT, input="Why?", stream=True) as stream:
        events: Any = list(stream)
    assert events[-1].type == "error"
    assert "server had an error" in events[-1].message
