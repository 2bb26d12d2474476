"""Replies of OpenAI's form that are no text: embeddings and pictures."""

import base64
from collections.abc import Mapping, Sequence
from struct import error as StructError  # noqa: N812 - the module gives it no better name
from struct import pack
from typing import Any

from broker.records.usage import Usage
from workers.providers.dialect import Answer, MalformedReplyError
from workers.providers.openai_reply import count_of, usage_of


def embeddings_of(body: dict[str, Any], fields: Mapping[str, Any]) -> Answer:
    """The embeddings of all inputs in the inputs' order; raises MalformedReplyError.

    They are base64 of 32 bit floats, little endian, unless the prompt asked for numbers: also where
    a server answered with numbers all the same.
    """
    wanted = _inputs(fields.get("input"))
    given = _data(body)
    try:
        rows = sorted(given, key=lambda row: row["index"])
        if [row["index"] for row in rows] != list(range(wanted)):
            raise MalformedReplyError(
                f"The reply has {len(rows)} embeddings, which are not those of {wanted} inputs."
            )
        plain = fields.get("encoding_format") == "float"
        rows = [row if plain else {**row, "embedding": _packed(row["embedding"])} for row in rows]
        usage = usage_of(body.get("usage"))
    except (AttributeError, KeyError, OverflowError, StructError, TypeError) as error:
        raise MalformedReplyError("The reply is not a list of embeddings.") from error
    return Answer(
        text=None,
        body={**body, "data": rows},
        usage=Usage(usage.input_tokens, 0),
        finish_reason="stop",
    )


def _inputs(given: Any) -> int:
    """How many there are: a list of numbers is the tokens of one."""
    several = isinstance(given, list) and not all(type(one) is int for one in given)
    return len(given) if several else 1


def _packed(embedding: Any) -> str:
    if isinstance(embedding, str) and embedding:
        return embedding
    if not isinstance(embedding, list) or not embedding:
        raise TypeError("no embedding where one belongs")
    return base64.b64encode(pack(f"<{len(embedding)}f", *embedding)).decode()


def pictures_of(body: dict[str, Any]) -> Answer:
    """One or several pictures; raises MalformedReplyError."""
    given = _data(body)
    if not given or not all(map(_is_picture, given)):
        raise MalformedReplyError("The reply has no pictures, or one of them is none.")
    usage = body.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    return Answer(
        text=None,
        body=body,
        usage=Usage(
            count_of(usage.get("input_tokens", usage.get("prompt_tokens"))),
            count_of(usage.get("output_tokens")),
            images=len(given),
        ),
        finish_reason="stop",
    )


def _is_picture(row: Any) -> bool:
    if not isinstance(row, dict):
        return False
    made = row.get("b64_json") or row.get("url")
    return isinstance(made, str)


def _data(body: Mapping[str, Any]) -> Sequence[Any]:
    rows = body.get("data")
    if not isinstance(rows, list):
        raise MalformedReplyError("The reply has no `data`.")
    return rows
