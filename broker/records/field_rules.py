"""What the fields of a prompt may hold, each rule with the sentence said when it is broken."""

from collections.abc import Mapping
from math import inf
from typing import Any

from broker.records.data_refs import (
    bare_problem,
    is_bare_reference,
    is_reference,
    part_problem,
    reference_problem,
)
from broker.records.prompt import Kind

MAX_METADATA = 16
MAX_ALLOWED = 64
MAX_METADATA_KEY = 64
MAX_METADATA_VALUE = 512

_CONTENT_FIELDS: Mapping[Kind, tuple[str, ...]] = {
    "chat": ("messages", "prompt", "input"),
    "image": ("prompt",),
    "embedding": ("input", "prompt"),
}


class InvalidField(Exception):  # noqa: N818 - it is caught where it is raised, as a verdict
    """A field breaks a rule; `code` is the stable word, `message` the sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def check_content(fields: Mapping[str, Any], kind: Kind) -> None:
    """There is something to answer, in one of the forms of its kind; raises InvalidField."""
    given = [name for name in _CONTENT_FIELDS[kind] if fields.get(name) is not None]
    if not given:
        wanted = " or ".join(f"`{name}`" for name in _CONTENT_FIELDS[kind])
        raise InvalidField("missing_prompt", f"A {kind} prompt needs {wanted}.")
    for name in given:
        if name == "messages":
            _check_messages(fields[name])
        elif is_reference(fields[name]):
            _check_reference(name, fields[name])
        elif name == "input" and kind == "embedding":
            _check_inputs(fields[name])
        elif name == "input" and isinstance(fields[name], list):
            _check_items(fields[name])
        elif not isinstance(fields[name], str):
            raise InvalidField("invalid_prompt", f"`{name}` must be text.")
        elif not fields[name].strip():
            raise InvalidField("missing_prompt", f"`{name}` is empty.")


def _check_reference(name: str, holder: Mapping[str, Any]) -> None:
    problem = reference_problem(holder)
    if problem:
        raise InvalidField("invalid_dataref", f"`{name}` comes by reference, and {problem}.")


def _check_inputs(given: object) -> None:
    """A text, texts, the tokens of one text, or lists of those; kept together and in order.

    Each text of several may come by reference.
    """
    inputs = given if isinstance(given, list) else [given]
    texts = all(isinstance(one, str) or is_bare_reference(one) for one in inputs)
    lists = all(isinstance(one, list) and one and _are_tokens(one) for one in inputs)
    tokens = inputs is given and _are_tokens(inputs)
    if not inputs or not (texts or lists or tokens):
        raise InvalidField(
            "invalid_prompt",
            "`input` must be text, a list of texts (each may be a `dataref`), or tokens as whole "
            "numbers.",
        )
    for place, one in enumerate(inputs):
        problem = bare_problem(one) if is_bare_reference(one) else None
        if problem:
            raise InvalidField("invalid_dataref", f"Input {place} of `input`: {problem}.")


def _are_tokens(given: list[Any]) -> bool:
    return all(type(one) is int and one >= 0 for one in given)


def _check_items(items: list[object]) -> None:
    """The items of OpenAI's Responses form: messages, and calls of tools with their results."""
    if not items:
        raise InvalidField("missing_prompt", "`input` is empty.")
    for place, item in enumerate(items):
        kind = item.get("type", "message") if isinstance(item, dict) else None
        if not isinstance(item, dict) or not isinstance(kind, str):
            raise InvalidField("invalid_prompt", f"Item {place} of `input` must have a `type`.")
        if kind != "message":
            continue
        if not isinstance(item.get("role"), str) or not _is_content(item.get("content")):
            raise InvalidField(
                "invalid_prompt",
                f"Item {place} of `input` must have a `role`, and text or typed parts.",
            )
        _check_parts(item["content"], f"item {place} of `input`")


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages:
        raise InvalidField(
            "invalid_messages", "`messages` must be a list with at least one message."
        )
    for place, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise InvalidField(
                "invalid_messages", f"Message {place} must be an object with a `role`."
            )
        content = message.get("content")
        if isinstance(content, str) or (content is None and _may_lack_content(message)):
            continue
        if not isinstance(content, list) or not _is_content(content):
            raise InvalidField(
                "invalid_messages",
                f"The `content` of message {place} must be text or a list of typed parts.",
            )
        _check_parts(content, f"message {place}")


def _check_parts(content: str | list[dict[str, Any]], of: str) -> None:
    """References among the parts of a content that `_is_content`."""
    for number, part in enumerate(content if isinstance(content, list) else ()):
        problem = part_problem(part)
        if problem:
            raise InvalidField("invalid_dataref", f"Part {number} of {of}: {problem}.")


def _is_content(content: object) -> bool:
    """Text, or a list of parts that say what they are."""
    return isinstance(content, str) or (
        isinstance(content, list)
        and all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in content)
    )


def _may_lack_content(message: Mapping[str, Any]) -> bool:
    return any(message.get(name) for name in ("tool_calls", "function_call", "refusal", "audio"))


def check_numbers(fields: Mapping[str, Any]) -> None:
    """Counts are whole and above zero; raises InvalidField."""
    for name in ("max_output_tokens", "max_tokens", "max_completion_tokens", "n"):
        given = fields.get(name)
        if given is None:
            continue
        if not isinstance(given, int) or isinstance(given, bool) or given < 1:
            raise InvalidField("invalid_number", f"`{name}` must be a whole number above zero.")


def check_constraints(fields: Mapping[str, Any]) -> None:
    """`providers` and `regions` are lists of names, `max_cost_usd` is dollars; or InvalidField."""
    for name in ("providers", "regions"):
        given = fields.get(name)
        if given is None:
            continue
        names = isinstance(given, list) and all(isinstance(one, str) and one for one in given)
        if not names or not 0 < len(given) <= MAX_ALLOWED:
            raise InvalidField(
                f"invalid_{name}", f"`{name}` must be a list of 1 to {MAX_ALLOWED} names."
            )
    most = fields.get("max_cost_usd")
    if most is None:
        return
    number = isinstance(most, int | float) and not isinstance(most, bool)
    if not number or not 0 <= most < inf:
        raise InvalidField("invalid_max_cost_usd", "`max_cost_usd` must be a number from 0 on.")


def metadata_problem(metadata: object) -> str | None:
    """What is wrong with `metadata`, as a sentence, or None."""
    if metadata is None:
        return None
    if not isinstance(metadata, dict):
        return "`metadata` must be an object of texts."
    if len(metadata) > MAX_METADATA:
        return f"`metadata` may have at most {MAX_METADATA} entries."
    for name, value in metadata.items():
        if not isinstance(value, str):
            return "`metadata` must hold only texts."
        if len(name) > MAX_METADATA_KEY or len(value) > MAX_METADATA_VALUE:
            return (
                f"`metadata` names may have {MAX_METADATA_KEY} characters, "
                f"values {MAX_METADATA_VALUE}."
            )
    return None
