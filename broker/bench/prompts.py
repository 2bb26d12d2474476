"""The prompts of the bench: real sentences, made before the clock runs."""

from collections.abc import Sequence
from typing import Final

import orjson

from broker.load.texts import TextMaker

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
