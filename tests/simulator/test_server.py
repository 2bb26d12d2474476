"""The server as a client sees it: answers, bad requests, bounds, faults and counts."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import aiohttp
import pytest
import uvloop
from splintr import Tokenizer

from tests.simulator.running import DEADLINE_S, Reply, Running, running, simulated, until
from workers.simulator.prose import ENCODING

ENCODE: Callable[[str], Sequence[Any]] = Tokenizer.from_pretrained(ENCODING).encode_ordinary


def run(check: Callable[[Running], Awaitable[None]], **cloud: Any) -> None:
    """Run a check against a server whose cloud `openai` is so."""

    async def main() -> None:
        async with running(simulated(**cloud)) as server:
            await check(server)

    uvloop.run(main())


def text_of(reply: Reply) -> str:
    if reply.headers["content-type"].startswith("text/event-stream"):
        deltas = [event["choices"][0]["delta"] for event in reply.events()[:-2]]
        return "".join(delta.get("content", "") for delta in deltas)
    return str(reply.json()["choices"][0]["message"]["content"])


def usage_of(reply: Reply) -> dict[str, int]:
    if reply.headers["content-type"].startswith("text/event-stream"):
        found: dict[str, int] = reply.events()[-2]["usage"]
        return found
    whole: dict[str, int] = reply.json()["usage"]
    return whole


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_has_the_asked_tokens_and_says_so(*, stream: bool) -> None:
    more: dict[str, Any] = (
        {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    )

    async def check(server: Running) -> None:
        for tokens in (1, 2, 77, 400):
            reply = await server.chat(max_completion_tokens=tokens, **more)
            assert reply.status == 200
            usage = usage_of(reply)
            assert usage["completion_tokens"] == tokens == len(ENCODE(text_of(reply)))
            assert usage["prompt_tokens"] == len(ENCODE("Why is the sky blue?")) + 4 + 3
            assert usage["total_tokens"] == usage["prompt_tokens"] + tokens

    run(check)


def test_streamed_and_whole_answers_of_a_prompt_are_the_same_text_everywhere() -> None:
    async def check(server: Running) -> None:
        options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
        whole = await server.chat(prompt_id="p1", max_tokens=90)
        streamed = await server.chat(prompt_id="p1", max_tokens=90, **options)
        other = await server.chat(prompt_id="p2", max_tokens=90)
        assert text_of(whole) == text_of(streamed) != text_of(other)

    run(check)


def test_a_length_of_its_own_is_kept_or_cut_by_the_maximum() -> None:
    async def check(server: Running) -> None:
        own = (await server.chat(simulated_output_tokens=30, max_tokens=100)).json()
        assert own["usage"]["completion_tokens"] == 30
        assert own["choices"][0]["finish_reason"] == "stop"
        cut = (await server.chat(simulated_output_tokens=100, max_tokens=30)).json()
        assert cut["usage"]["completion_tokens"] == 30
        assert cut["choices"][0]["finish_reason"] == "length"
        lengths = [
            (await server.chat(prompt_id=f"p{number}")).json()["usage"]["completion_tokens"]
            for number in range(40)
        ]
        assert len(set(lengths)) > 20
        assert 80 < sorted(lengths)[20] < 320

    run(check)


def test_several_choices_are_several_texts() -> None:
    async def check(server: Running) -> None:
        body = (await server.chat(n=3, max_tokens=50)).json()
        texts = {choice["message"]["content"] for choice in body["choices"]}
        assert len(texts) == 3
        assert body["usage"]["completion_tokens"] == 150
        streamed = await server.chat(n=3, max_tokens=50, stream=True)
        ended = [
            choice["index"]
            for event in streamed.events()[:-1]
            for choice in event["choices"]
            if choice["finish_reason"] is not None
        ]
        assert sorted(ended) == [0, 1, 2]

    run(check)


def test_a_stream_has_no_usage_unless_it_is_asked_for() -> None:
    async def check(server: Running) -> None:
        events = (await server.chat(max_tokens=5, stream=True)).events()
        assert events[-1] == "[DONE]"
        assert events[0]["choices"][0]["delta"]["role"] == "assistant"
        assert all("usage" not in event for event in events[:-1])

    run(check)


BAD: list[tuple[bytes, int, str | None, str | None]] = [
    (b"{", 400, None, None),
    (b"\xff", 400, None, None),
    (b"[]", 400, None, None),
    (b'{"messages": []}', 400, None, "model"),
    (b'{"model": "gpt-5"}', 400, "missing_required_parameter", "messages"),
    (b'{"model": "gpt-5", "messages": []}', 400, "empty_array", "messages"),
    (b'{"model": "gpt-5", "messages": {}}', 400, "invalid_type", "messages"),
    (b'{"model": "gpt-5", "messages": [1]}', 400, "invalid_type", "messages[0]"),
    (
        b'{"model": "gpt-5", "messages": [{"role": "boss", "content": "x"}]}',
        400,
        "invalid_value",
        "messages[0].role",
    ),
    (
        b'{"model": "gpt-5", "messages": [{"role": "user", "content": null}]}',
        400,
        "invalid_type",
        "messages[0].content",
    ),
    (
        b'{"model": "gpt-5", "messages": [{"role": "user", "content": ["x"]}]}',
        400,
        "invalid_type",
        "messages[0].content",
    ),
]
WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"max_tokens": 0}, "integer_below_min_value", "max_tokens"),
    ({"max_tokens": "9"}, "invalid_type", "max_tokens"),
    ({"max_tokens": True}, "invalid_type", "max_tokens"),
    ({"max_tokens": 9, "max_completion_tokens": 9}, "invalid_parameter_combination", "max_tokens"),
    ({"n": 1_000}, "integer_above_max_value", "n"),
    ({"temperature": 3}, "invalid_value", "temperature"),
    ({"top_p": "high"}, "invalid_type", "top_p"),
    ({"stream": "yes"}, "invalid_type", "stream"),
    ({"stream_options": {"include_usage": True}}, "invalid_value", "stream_options"),
]


def test_a_bad_request_gets_openais_error() -> None:
    async def check(server: Running) -> None:
        for raw, status, code, param in BAD:
            reply = await server.chat(raw=raw)
            error = reply.json()["error"]
            assert (reply.status, error["code"], error["param"]) == (status, code, param), raw
            assert error["type"] == "invalid_request_error"
            assert error["message"]
        for fields, code, param in WRONG:
            reply = await server.chat(**fields)
            error = reply.json()["error"]
            assert (reply.status, error["code"], error["param"]) == (400, code, param), fields
        assert (await server.chat()).status == 200
        served = await server.served()
        assert served["statuses"] == {"200": 1, "400": len(BAD) + len(WRONG)}
        assert (served["answered"], served["open"]) == (1, 0)

    run(check)


def test_what_does_not_exist_is_not_found() -> None:
    async def check(server: Running) -> None:
        model = await server.chat(model="gpt-2")
        assert (model.status, model.json()["error"]["code"]) == (404, "model_not_found")
        provider = await server.chat(provider="acme")
        assert (provider.status, provider.json()["error"]["code"]) == (404, "unknown_provider")
        url = await server.ask("POST", "/openai/v1/audio", b"{}")
        assert (url.status, url.json()["error"]["code"]) == (404, "unknown_url")
        assert (await server.ask("GET", "/openai/v1/chat/completions")).status == 405
        assert (await server.ask("GET", "/livez")).body == b"ok\n"
        models = (await server.ask("GET", "/google/v1/models")).json()["data"]
        assert {"gemini-3-flash", "gemini-3-pro"} <= {model["id"] for model in models}

    run(check)


def test_a_prompt_longer_than_the_context_is_refused() -> None:
    async def check(server: Running) -> None:
        reply = await server.chat(text="word " * 200)
        assert reply.status == 400
        assert reply.json()["error"]["code"] == "context_length_exceeded"

    run(check, context_tokens=100)


def test_a_prompt_of_many_megabytes_is_read() -> None:
    async def check(server: Running) -> None:
        assert (await server.chat(text="word " * 400_000)).status == 200

    run(check, context_tokens=10_000_000)


def test_the_latencies_of_the_model_are_kept() -> None:
    async def check(server: Running) -> None:
        whole = await server.chat(max_tokens=11)
        streamed = await server.chat(max_tokens=11, stream=True)
        # The machine may be slow, but never early.
        assert 0.3 <= whole.seconds < DEADLINE_S
        assert 0.3 <= streamed.seconds < DEADLINE_S
        assert 3 <= len(streamed.events()) <= 14

    run(check, first_token_s=0.1, per_token_s=0.02)


def test_no_more_calls_at_once_than_slots_and_no_more_waiting_than_the_queue() -> None:
    async def check(server: Running) -> None:
        calls = [asyncio.create_task(server.chat(max_tokens=2)) for _ in range(9)]
        slots = server.server.clouds["openai"].slots
        await until(lambda: slots.in_use == 2 and slots.waiting == 3)
        replies = await asyncio.gather(*calls)
        assert sorted(reply.status for reply in replies) == [200] * 5 + [429] * 4
        turned = [reply for reply in replies if reply.status == 429]
        assert {reply.json()["error"]["code"] for reply in turned} == {"rate_limit_exceeded"}
        assert all(float(reply.headers["retry-after"]) >= 1 for reply in turned)
        assert max(reply.seconds for reply in replies) >= 0.9  # three rounds
        assert (slots.in_use, slots.waiting) == (0, 0)
        served = await server.served()
        assert served["answered"] == 5
        assert 6 <= served["peak"] <= 9

    run(check, slots=2, queue=3, first_token_s=0.3)


def test_a_client_that_leaves_frees_its_slot_or_its_place_in_the_queue() -> None:
    async def check(server: Running) -> None:
        slots = server.server.clouds["openai"].slots
        calls = [asyncio.create_task(server.chat()) for _ in range(2)]
        await until(lambda: slots.in_use == 1 and slots.waiting == 1)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await until(lambda: slots.in_use == 0 and slots.waiting == 0)
        await until(lambda: server.server.clouds["openai"].served.open == 0)
        served = await server.served()
        assert served["outcomes"] == {"abandoned": 2}
        assert served["answered"] == 0

    run(check, slots=1, queue=1, first_token_s=60.0)


def test_fast_knows_no_latency_and_no_bound() -> None:
    async def main() -> None:
        settings = simulated(slots=1, queue=0, first_token_s=60.0)
        quick = settings.simulator.model_copy(update={"fast": True})
        async with running(settings.model_copy(update={"simulator": quick})) as server:
            replies = await asyncio.gather(*(server.chat(max_tokens=200) for _ in range(100)))
            assert {reply.status for reply in replies} == {200}

    uvloop.run(main())


def test_calls_are_counted_by_id() -> None:
    async def check(server: Running) -> None:
        await server.chat(prompt_id="a")
        await server.chat(prompt_id="a", stream=True)
        await server.chat(prompt_id="b", model="none")
        served = await server.served(ids="1")
        assert served["by_id"] == {
            "a": {"begun": 2, "answered": 2},
            "b": {"begun": 1, "answered": 0},
        }
        assert (await server.served(id="b"))["by_id"] == {"b": {"begun": 1, "answered": 0}}
        assert (await server.served("google"))["requests"] == 0
        assert (await server.ask("GET", "/control/served?provider=acme")).status == 404
        assert (await server.ask("DELETE", "/control/served")).status == 200
        assert (await server.served(ids="1"))["by_id"] == {}

    run(check)


def test_an_id_that_is_no_text_is_counted_all_the_same() -> None:
    async def check(server: Running) -> None:
        # No client library would send this.
        host, port = server.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = b"POST /openai/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n"
        writer.write(head + b"x-weighbridge-id: \xff\xfe" + b"x" * 5_000 + b"\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        counted = (await server.served(ids="1"))["by_id"]
        assert list(counted) == ["??" + "x" * 254]

    run(check)


def test_faults_are_set_changed_and_cleared_at_run_time() -> None:
    async def check(server: Running) -> None:
        path = "/control/faults/openai"
        put = await server.ask("PUT", path, b'{"rate_limited": 1.0, "retry_after_s": 2.5}')
        assert (put.status, put.json()["rate_limited"]) == (200, 1.0)
        reply = await server.chat()
        assert reply.status == 429
        assert reply.headers["retry-after"] == "3"
        assert reply.headers["retry-after-ms"] == "2500"
        assert (await server.chat(provider="google", model="gemini-3-pro")).status == 200
        changed = await server.ask("PATCH", path, b'{"outages": [{"to_s": 60}]}')
        assert changed.json()["rate_limited"] == 1.0
        assert changed.json()["down"] is True
        down = await server.chat()
        assert (down.status, down.json()["error"]["code"]) == (503, "server_is_overloaded")
        assert (await server.ask("GET", "/control/faults")).json()["openai"]["down"] is True
        assert (await server.ask("DELETE", path)).json()["down"] is False
        assert (await server.chat()).status == 200

    run(check)


@pytest.mark.parametrize(
    "wrong", [b"", b"[]", b'{"cuts": 2}', b'{"cutz": 0.1}', b'{"outages": [{}]}']
)
def test_faults_that_make_no_sense_change_nothing(wrong: bytes) -> None:
    async def check(server: Running) -> None:
        for method in ("PUT", "PATCH"):
            reply = await server.ask(method, "/control/faults/openai", wrong)
            assert reply.status == 400
            assert reply.json()["error"]["code"] == "invalid_faults"
        assert (await server.ask("PUT", "/control/faults", b"{}")).status == 405
        assert (await server.ask("PUT", "/control/faults/acme", b"{}")).status == 404
        assert (await server.ask("GET", "/control/faults/openai")).json()["slow"] == 0.1

    run(check, faults={"slow": 0.1, "slow_gap_s": 0.001})


def test_an_outage_is_over_when_its_time_is() -> None:
    async def check(server: Running) -> None:
        assert (await server.chat()).status == 503
        cloud = server.server.clouds["openai"]
        await until(lambda: not cloud.faults.is_down(time.time()))
        assert (await server.chat()).status == 200

    run(check, faults={"outages": [{"to_s": 0.5}]})


@pytest.mark.parametrize("fault", ["cuts", "cut_streams"])
def test_a_cut_connection_ends_and_is_not_counted_as_an_answer(fault: str) -> None:
    async def check(server: Running) -> None:
        for number in range(6):
            with pytest.raises(aiohttp.ClientError):
                await server.chat(prompt_id=f"p{number}")
        await until(lambda: server.server.clouds["openai"].served.open == 0)
        served = await server.served(ids="1")
        assert served["outcomes"] == {fault: 6}
        assert served["answered"] == 0
        assert set(served["by_id"]) == {f"p{number}" for number in range(6)}

    run(check, faults={fault: 1.0})


def test_a_server_that_stops_does_not_wait_for_calls() -> None:
    async def main() -> float:
        async with running(simulated(first_token_s=60.0)) as server:
            call = asyncio.create_task(server.chat())
            cloud = server.server.clouds["openai"]
            await until(lambda: cloud.slots.in_use == 1)
            began = asyncio.get_running_loop().time()
            await server.server.stop()
            seconds = asyncio.get_running_loop().time() - began
            with pytest.raises(aiohttp.ClientError):
                await call
            return seconds

    assert uvloop.run(main()) < 5.0
