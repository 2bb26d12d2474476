"""What was decided on a prompt that was sent, for a person and for a program."""

from typing import TYPE_CHECKING, Any, Final

from broker.cli.output import console, harmless

if TYPE_CHECKING:
    from broker.story.events import Event
    from broker.story.trace import Trace

_CHOICES: Final = frozenset({"weighed", "let_in", "routed", "moved", "not_routed"})


def choices_of(story: "Trace") -> dict[str, Any]:
    """What `explain ID --json` prints."""
    ended = _last(story, "completed")
    found: dict[str, Any] = {"id": story.id, "state": story.state, "status": story.status}
    found["code"] = None if ended is None else ended.details.get("code")
    found["message"] = None if ended is None else ended.details.get("message")
    found["choices"] = [one.as_json() for one in story.events if one.name in _CHOICES]
    return found


def show_sent(story: "Trace") -> None:
    """Every choice with its candidates, then how it ended or where it is."""
    from rich.text import Text

    from broker.cli.candidate_lines import candidate_table

    out = console()
    for event in story.events:
        if event.name in _CHOICES:
            code = event.details.get("code")
            out.print(Text(harmless(f"{event.text} [{code}]" if code else event.text)))
            if event.details.get("candidates"):
                out.print(candidate_table(event.details["candidates"]))
    ended = _last(story, "completed")
    state = story.state if ended is None or story.state != "completed" else ended.text
    out.print(Text(harmless(f"{story.id}: {state}")))


def _last(story: "Trace", name: str) -> "Event | None":
    return next((one for one in reversed(story.events) if one.name == name), None)
