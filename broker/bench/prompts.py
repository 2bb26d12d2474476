"""The prompts of the bench: real sentences, made before the clock runs."""

import time
from collections.abc import Sequence
from typing import Final

import orjson

from broker.load.texts import TextMaker
from broker.records.incoming import Source
from broker.records.work import Work

TEXTS: Final = 200
"""Different ones, used in turn."""
LIGHT_TOKENS: Final = 60
LIGHT_OUTPUT: Final = 50


def light_bodies(output_tokens: int = LIGHT_OUTPUT, *, stream: bool = False) -> tuple[bytes, ...]:
    """Prompts of 60 tokens without their ids, about 0.4 kB each; light by the default thresholds.

    One that asks for 2,000 output tokens is heavy with the same text. With `stream` they want their
    answers in pieces.
    """
    texts = TextMaker(seed=1)
    more = {"max_output_tokens": output_tokens} | ({"stream": True} if stream else {})
    return tuple(orjson.dumps({"prompt": texts.make(LIGHT_TOKENS), **more}) for _ in range(TEXTS))


def with_id(identity: str, body: bytes) -> bytes:
    """The prompt's JSON: an object with this id put before its other fields."""
    return b'{"id":"' + identity.encode() + b'",' + body[1:]


def in_turn(bodies: Sequence[bytes], count: int) -> list[bytes]:
    """So many bodies, one after the other, again from the first when all have been used."""
    return [bodies[number % len(bodies)] for number in range(count)]


def bench_work(prompt_id: str, *, stream: bool = False) -> Work:
    """Work as the classifier would hand it on, for what is measured without one."""
    return Work(
        id=prompt_id,
        tenant="default",
        kind="chat",
        model="bench-chat",
        priority="standard",
        provider=None,
        deadline=None,
        stream=stream,
        accepted_at=time.time(),
        source=Source(0, 0),
        reply_partition=None,
        weight=100,
        lane="light",
        input_tokens=60,
        expected_output_tokens=50,
        attempt=0,
        route=(),
        fields={"prompt": "Why is the sky blue?", "max_output_tokens": 50, "stream": stream},
        metadata={},
    )
