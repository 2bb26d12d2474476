"""Pictures in an answer of OpenAI's form: found, and replaced by where they lie. Pure."""

import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from broker.store.media import UNKNOWN, sniffed

_DATA_URL: Final = re.compile(r"data:(?P<type>image/[a-z0-9.+-]{1,60});base64,", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture in base64, and the object of the answer's copy that is to say where it lies."""

    holder: dict[str, Any] = field(repr=False)
    encoded: str = field(repr=False)
    said_type: str = ""
    before: str = ""
    """What of a data URL comes before the base64."""

    def put_back(self) -> None:
        """Leave it as it was: what is no base64 is not ours to change."""
        name = "url" if self.before else "b64_json"
        self.holder[name] = self.before + self.encoded

    def decoded(self) -> tuple[bytes, str] | None:
        """Its bytes and media type, by how they begin and else as was said; None for no base64."""
        try:
            data = binascii.a2b_base64(self.encoded, strict_mode=True)
        except (binascii.Error, ValueError):
            return None
        return (data, sniffed(data) or self.said_type.lower() or UNKNOWN) if data else None


def taken_out(kind: str, body: Mapping[str, Any]) -> tuple[Mapping[str, Any], list[Picture]]:
    """The answer without its pictures, and these in order; the answer itself where it has none."""
    pictures: list[Picture] = []
    if kind == "image":
        return _of_images(body, pictures), pictures
    if kind == "chat":
        return _of_chat(body, pictures), pictures
    return body, pictures


def _of_images(body: Mapping[str, Any], pictures: list[Picture]) -> Mapping[str, Any]:
    given = body.get("data")
    if not isinstance(given, list):
        return body
    items = []
    for item in given:
        encoded = item.get("b64_json") if isinstance(item, dict) else None
        if isinstance(encoded, str):
            left = {name: value for name, value in item.items() if name != "b64_json"}
            pictures.append(Picture(left, encoded))
            items.append(left)
        else:
            items.append(item)
    return {**body, "data": items} if pictures else body


def _of_chat(body: Mapping[str, Any], pictures: list[Picture]) -> Mapping[str, Any]:
    """Pictures that stand as data URLs in the parts of a message, or in its `images`."""
    choices = body.get("choices")
    if not isinstance(choices, list):
        return body
    made = [_of_choice(choice, pictures) for choice in choices]
    return {**body, "choices": made} if pictures else body


def _of_choice(choice: Any, pictures: list[Picture]) -> Any:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return choice
    lists = {
        name: [_of_part(part, pictures) for part in message[name]]
        for name in ("content", "images")
        if isinstance(message.get(name), list)
    }
    return {**choice, "message": {**message, **lists}} if lists else choice


def _of_part(part: Any, pictures: list[Picture]) -> Any:
    image = part.get("image_url") if isinstance(part, dict) else None
    url = image.get("url") if isinstance(image, dict) else None
    if not isinstance(image, dict) or not isinstance(url, str):
        return part
    begins = _DATA_URL.match(url)
    if begins is None:
        return part
    left = {name: value for name, value in image.items() if name != "url"}
    pictures.append(Picture(left, url[begins.end() :], begins["type"], begins[0]))
    return {**part, "image_url": left}
