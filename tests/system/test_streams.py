"""A streamed answer through every process: pieces, completion, journal and commands agree."""

import pytest

from broker.core.chunk_reading import ChunkReader
from broker.records.calls import decode_call
from broker.records.chunk import decode_chunk
from tests.cli.running import run
from tests.system.conversation import Conversation


def test_the_pieces_of_an_answer_make_its_text_and_carry_what_correlates(
    talk: Conversation,
) -> None:
    headers = (("traceparent", b"00-aa-bb-01"), ("kafka_correlationId", b"\x01\xfe"), ("x", b"y"))
    fields = {"prompt": "Why is the sky blue?", "stream": True, "max_output_tokens": 40}
    talk.ask(headers, id="streamed-1", tenant="acme", **fields)
    body = talk.completion("streamed-1").body
    assert body["status"] == "succeeded"
    records = [found for found in talk.read(talk.topics.chunks) if found.key == b"streamed-1"]
    reader = ChunkReader()
    for found in records:
        chunk = decode_chunk(found.value)
        assert (chunk.tenant, chunk.provider) == ("acme", body["provider"])
        assert found.header("traceparent") == b"00-aa-bb-01"
        assert found.header("kafka_correlationId") == b"\x01\xfe"
        assert found.header("x") is None
        reader.take(chunk)
    assert reader.whole
    assert reader.text == body["text"]
    last = decode_chunk(records[-1].value)
    assert last.usage is not None
    assert last.usage.output_tokens == body["output_tokens"]
    assert len({found.header("ce_id") for found in records}) == len(records) >= 3
    calls = [decode_call(one.value) for one in talk.read(talk.topics.calls)]
    (ended,) = [one for one in calls if one.id == "streamed-1" and one.event == "ended"]
    assert ended.first_token_ms is not None
    assert ended.per_token_ms is not None


@pytest.mark.parametrize("stream", [True, False])
def test_send_prints_what_the_completion_says_and_trace_tells_its_times(
    talk: Conversation, *, stream: bool
) -> None:
    identity, how = f"sent-{stream}", "--stream" if stream else "--wait"
    ran = run(talk.settings, "send", "Why is the sea salty?", "--id", identity, how)
    assert ran.out == talk.completion(identity).body["text"] + "\n"
    told = run(talk.settings, "trace", identity).out
    assert ("ms each" in told) == stream


def test_every_choice_of_a_prompt_grows_to_what_the_completion_has(talk: Conversation) -> None:
    asked = '{"id": "three", "prompt": "Why is the sea salty?", "n": 3, "max_output_tokens": 60}'
    ran = run(talk.settings, "send", "-", "--stream", stdin=asked)
    rows = talk.completion("three").body["body"]["choices"]
    texts = [row["message"]["content"] for row in sorted(rows, key=lambda row: row["index"])]
    assert len(set(texts)) == 3
    told = (f"Choice {at} of 3:\n{text}\n" for at, text in enumerate(texts, 1))
    assert ran.out == "\n".join(told)
    assert "void" not in ran.err
