"""OpenAI's messages in Gemini's words: contents of parts, and the system's instruction.

https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference; names of fields as
in the official SDK's types.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from workers.providers.dialect import CannotExpressError

Part = dict[str, Any]

UNSIGNED: Final = "skip_thought_signature_validator"
"""What Google documents as the signature of a call that another model made. Gemini 3 refuses a
conversation whose calls have none."""

_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w.=+-]+)*;base64,", re.IGNORECASE)
_BY_REFERENCE: Final = ("gs://", "https://", "http://")
_MEDIA_TYPES: Final[Mapping[str, str]] = {
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "gif": "image/gif",
    "heic": "image/heic",
    "heif": "image/heif",
    "pdf": "application/pdf",
    "mp4": "video/mp4",
    "webm": "video/webm",
    "mov": "video/mov",
}
_AUDIO_TYPES: Final[Mapping[str, str]] = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "opus": "audio/opus",
    "m4a": "audio/m4a",
}


def conversation_of(messages: Iterable[Mapping[str, Any]], *, signed: bool) -> dict[str, Any]:
    """`contents`, and `systemInstruction` where the system says something.

    What the system says in the middle of a conversation stands in the instruction too: there is no
    other place for it. Messages that say nothing are left out. `signed`: the model wants
    signatures of thoughts on calls of functions.
    Raises CannotExpressError.
    """
    system: list[Part] = []
    contents: list[dict[str, Any]] = []
    names: dict[str, str] = {}
    results: list[Part] | None = None
    for message in messages:
        role = message.get("role")
        if role in ("tool", "function"):
            if results is None:
                # All results of a turn stand in one content: they are counted against its calls.
                results = []
                contents.append({"role": "user", "parts": results})
            results.append(_result(message, names))
            continue
        results = None
        if role in ("system", "developer"):
            system.extend(_only_text(_parts(message.get("content")), "the system's message"))
            continue
        if role == "user":
            content = {"role": "user", "parts": _parts(message.get("content"))}
        elif role == "assistant":
            content = {"role": "model", "parts": _said(message, names, signed=signed)}
        else:
            raise CannotExpressError(
                "Gemini knows the roles system, developer, user, assistant and tool; a message has "
                "another."
            )
        if content["parts"]:
            contents.append(content)
    if not contents:
        raise CannotExpressError("Gemini needs a message, not the system's, that is not empty.")
    asked: dict[str, Any] = {"contents": contents}
    if system:
        asked["systemInstruction"] = {"parts": system, "role": "user"}
    return asked


def object_of(value: Any, what: str) -> Mapping[str, Any]:
    """A JSON object; raises CannotExpressError naming `what` it should have been."""
    if not isinstance(value, dict):
        raise CannotExpressError(f"{what} is not in OpenAI's form: an object belongs there.")
    return value


def text_of(value: Any, what: str) -> str:
    """A text; raises CannotExpressError naming `what` it should have been."""
    if not isinstance(value, str):
        raise CannotExpressError(f"{what} is not in OpenAI's form: a text belongs there.")
    return value


def list_of(value: Any, what: str) -> list[Any]:
    """A list; raises CannotExpressError naming `what` it should have been."""
    if not isinstance(value, list):
        raise CannotExpressError(f"{what} is not in OpenAI's form: a list belongs there.")
    return value


def _parts(content: Any) -> list[Part]:
    """Vertex refuses a text that is empty; what says nothing is left out."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [{"text": content}]
    given = list_of(content, "The content of a message")
    parts = [_part(object_of(part, "A part of a message")) for part in given]
    return [part for part in parts if part.get("text") != ""]


def _part(given: Mapping[str, Any]) -> Part:
    kind = given.get("type")
    if kind in ("text", "refusal"):
        return {"text": text_of(given.get(kind), f"A part of type {kind}")}
    if kind in ("image_url", "video_url"):
        linked = given.get(kind)
        url = linked.get("url") if isinstance(linked, dict) else linked
        return _media(text_of(url, f"A part of type {kind}"))
    if kind == "input_audio":
        audio = object_of(given.get("input_audio"), "A part of type input_audio")
        media_type = _AUDIO_TYPES.get(str(audio.get("format")).lower())
        if media_type is None:
            raise CannotExpressError(
                f"Gemini listens to {', '.join(_AUDIO_TYPES)}, and a message has other audio."
            )
        return _inline(media_type, text_of(audio.get("data"), "A part of type input_audio"))
    if kind == "file":
        file = object_of(given.get("file"), "A part of type file")
        if file.get("file_data") is None:
            raise CannotExpressError("A file that was uploaded to another provider is not here.")
        return _media(text_of(file["file_data"], "A part of type file"))
    raise CannotExpressError(
        "Gemini takes parts of type text, image_url, video_url, input_audio and file; a message "
        "has another."
    )


def _media(url: str) -> Part:
    head = _DATA_URL.match(url)
    if head is not None:
        return _inline(head.group(1).lower(), url[head.end() :])
    if not url.startswith(_BY_REFERENCE):
        raise CannotExpressError("Gemini takes media as base64 data URLs, or by gs:// or https://.")
    path = re.split(r"[?#]", url, maxsplit=1)[0]
    media_type = _MEDIA_TYPES.get(path.rpartition(".")[2].lower())
    if media_type is None:
        raise CannotExpressError(
            "Gemini must be told the media type of a file, and its URL does not end in one of: "
            f"{', '.join(_MEDIA_TYPES)}."
        )
    return {"fileData": {"fileUri": url, "mimeType": media_type}}


def _inline(media_type: str, data: str) -> Part:
    return {"inlineData": {"data": data, "mimeType": media_type}}


def _said(message: Mapping[str, Any], names: dict[str, str], *, signed: bool) -> list[Part]:
    """What the model said; the names of its calls are kept for their results."""
    if message.get("audio") is not None and message.get("content") is None:
        raise CannotExpressError("Audio that another provider has spoken is not here.")
    spoken = _parts(message.get("content"))
    if message.get("refusal"):
        spoken.append({"text": text_of(message["refusal"], "A refusal")})
    called = list_of(message.get("tool_calls") or [], "`tool_calls`")
    if message.get("function_call"):
        called = [*called, {"function": message["function_call"]}]
    calls = [_call(object_of(call, "A call of a tool"), names) for call in called]
    if signed and calls:
        # Only the first of several calls at once carries one.
        calls[0].setdefault("thoughtSignature", UNSIGNED)
    return spoken + calls


def _call(call: Mapping[str, Any], names: dict[str, str]) -> Part:
    if call.get("type", "function") != "function":
        raise CannotExpressError("Gemini knows calls of functions only.")
    function = object_of(call.get("function"), "A call of a tool")
    name = text_of(function.get("name"), "The name of a call")
    arguments = function.get("arguments") or "{}"
    args = _decoded(text_of(arguments, "The arguments of a call"))
    if not isinstance(args, dict):
        raise CannotExpressError("The arguments of a call are not a JSON object.")
    made: dict[str, Any] = {"args": args, "name": name}
    call_id = call.get("id")
    if isinstance(call_id, str):
        names[call_id] = name
        made["id"] = call_id
    part: Part = {"functionCall": made}
    signature = signature_of(call)
    if signature is not None:
        part["thoughtSignature"] = signature
    return part


def signature_of(call: Mapping[str, Any]) -> str | None:
    """The signature of a thought that a reply of ours put beside a call, and the sender kept.

    It stands where Google's own OpenAI form has it: `extra_content.google.thought_signature`.
    """
    extra = call.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) and signature else None


def _result(message: Mapping[str, Any], names: Mapping[str, str]) -> Part:
    call_id = message.get("tool_call_id")
    name = names.get(call_id) if isinstance(call_id, str) else None
    name = name or message.get("name")
    if not isinstance(name, str):
        raise CannotExpressError(
            "Gemini needs the name of the function that a tool's message answers, and no call "
            "before it has that `tool_call_id`."
        )
    parts = _only_text(_parts(message.get("content")), "a tool's message")
    text = "".join(part["text"] for part in parts)
    value = _decoded(text)
    # A result that has an `output` of its own would lose what stands beside it.
    whole = isinstance(value, dict) and "output" not in value
    response = value if whole else {"output": text if value is None else value}
    made: dict[str, Any] = {"name": name, "response": response}
    if isinstance(call_id, str):
        made["id"] = call_id
    return {"functionResponse": made}


def _only_text(parts: list[Part], where: str) -> list[Part]:
    if any("text" not in part for part in parts):
        raise CannotExpressError(f"Gemini takes only text in {where}.")
    return parts


def _decoded(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
