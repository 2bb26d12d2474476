"""What a dialect of the simulator is: where its paths lead, how it reads, answers and refuses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from workers.simulator.asked import Asked
from workers.simulator.made import Made
from workers.simulator.minute_limits import Left
from workers.simulator.problems import Problem

JSON: Final[Mapping[str, str]] = {"Content-Type": "application/json"}
EVENTS: Final[Mapping[str, str]] = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
}


class Operation(StrEnum):
    """What a path is for."""

    CHAT = "chat"
    RESPONSES = "responses"
    IMAGES = "images"
    VECTORS = "vectors"
    CONTENT = "content"
    """Google's: a conversation, or pictures, as the request says."""
    COUNT = "count"
    MODELS = "models"
    """Only told, nothing is made."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where a request's path leads."""

    operation: Operation
    model: str | None = None
    """Where the path names it."""
    style: str = ""
    """Which of the operation's forms, where there are several."""


@dataclass(frozen=True, slots=True)
class Place:
    """The cloud that is played."""

    name: str
    models: tuple[str, ...]
    context_tokens: int
    flat_errors: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """What the headers of a reply may tell. `requests` and `tokens` are None without a limit."""

    request_id: str
    model: str = ""
    requests: Left | None = None
    tokens: Left | None = None
    spilled_to: str | None = None
    """The deployment that answers in place of one that has no room."""


@dataclass(frozen=True, slots=True)
class ErrorForm:
    """A problem as a vendor writes it; some are replies with status 200."""

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)


class Events(Protocol):
    """The pieces of one streamed answer, to be taken in their order."""

    def opening(self) -> bytes:
        """What comes with the first token."""

    def tokens(self, begin: int, end: int) -> bytes:
        """The tokens of every choice between these places."""

    def closing(self) -> bytes:
        """How it ends."""

    def broken(self) -> bytes:
        """An event that is not JSON."""

    def error(self, problem: Problem) -> bytes:
        """An error in the middle of it."""


class Forms(Protocol):
    """One dialect at one cloud. Without state."""

    def route(self, method: str, tail: str, query: str) -> Route:
        """Where a path after the cloud's name leads; raises Problem."""

    def key(self, headers: Mapping[str, str]) -> str | None:
        """The key or token of a request; None without one. `headers` is case-insensitive."""

    def spillover(self, headers: Mapping[str, str]) -> str | None:
        """Who shall answer in place of a deployment that has no room."""

    def read(self, route: Route, body: bytes) -> Asked:
        """What is asked for; raises Problem."""

    def told(self, route: Route) -> bytes:
        """The body of a reply to MODELS; raises Problem."""

    def whole(self, route: Route, asked: Asked, made: Made) -> bytes:
        """The body of a reply that comes whole."""

    def events(self, route: Route, asked: Asked, made: Made) -> Events:
        """The pieces of one that is streamed."""

    def stream_headers(self, route: Route) -> Mapping[str, str]:
        """The form of a streamed body."""

    def head(self, head: Head) -> Mapping[str, str]:
        """The vendor's own headers of every reply to a call."""

    def error(self, route: Route | None, problem: Problem) -> ErrorForm:
        """A problem as a reply; without a route where the path led nowhere."""
