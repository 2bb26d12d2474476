"""What can be wrong with a call, in no vendor's words: each dialect writes it in its own."""

from dataclasses import dataclass
from enum import StrEnum


class What(StrEnum):
    """What is wrong; the value is what the counts call it."""

    INVALID = "invalid_request"
    KEY = "invalid_api_key"
    MODEL = "model_not_found"
    NO_SUCH_URL = "unknown_url"
    METHOD = "method_not_allowed"
    TOO_LARGE = "request_too_large"
    TOO_LONG = "context_length_exceeded"
    """More tokens than the model takes."""
    REFUSED = "content_filter"
    """The prompt will not be answered."""
    PICTURE = "picture_filtered"
    """The picture was made and will not be shown."""
    REQUESTS = "rate_limit_exceeded"
    TOKENS = "token_limit_exceeded"
    """More tokens in a minute than the limit."""
    CONCURRENCY = "concurrency_limit"
    """Too many calls at the same time."""
    SPENT = "insufficient_quota"
    SERVER = "server_error"
    OVERLOADED = "overloaded"
    HALFWAY = "error_in_answer"
    """An error after the answer has begun."""


STATUS: dict[What, int] = {
    What.INVALID: 400,
    What.KEY: 401,
    What.MODEL: 404,
    What.NO_SUCH_URL: 404,
    What.METHOD: 405,
    What.TOO_LARGE: 413,
    What.TOO_LONG: 400,
    What.REFUSED: 400,
    What.PICTURE: 400,
    What.REQUESTS: 429,
    What.TOKENS: 429,
    What.CONCURRENCY: 429,
    What.SPENT: 429,
    What.SERVER: 500,
    What.OVERLOADED: 503,
    What.HALFWAY: 500,
}
"""The usual status of each; some vendors have another."""


class Problem(Exception):  # noqa: N818 - a reply that is meant, not a fault of this program
    """Ends a call with an error. What a dialect does not use of the details it leaves out."""

    def __init__(self, what: What, message: str = "", details: "Details | None" = None) -> None:
        super().__init__(message or what.value)
        self.what = what
        self.message = message
        self.details = details or Details()


@dataclass(frozen=True, slots=True)
class Details:
    """What a vendor may say of a problem."""

    status: int | None = None
    """Instead of the usual one."""
    code: str | None = None
    """OpenAI's code of a request that is wrong."""
    param: str | None = None
    retry_after_s: float | None = None
    model: str = ""
    limit: int = 0
    """The limit that was passed: requests or tokens in a minute, or tokens of the context."""
    asked: int = 0
    """What was asked of it."""
    input_tokens: int = 0


def status_of(problem: Problem) -> int:
    """The status, where the vendor has no other idea."""
    return problem.details.status or STATUS[problem.what]


def wrong(param: str, what: str, code: str = "invalid_value") -> Problem:
    """A request whose field `param` is wrong: it `what`, such as "must be a number"."""
    return invalid(f"Invalid '{param}': it {what}.", code=code, param=param)


def invalid(message: str, *, code: str | None = None, param: str | None = None) -> Problem:
    """A request that makes no sense."""
    return Problem(What.INVALID, message, Details(code=code, param=param))
