"""The errors every room raises: what happened, to whom, and what to do about it."""

from typing import ClassVar


class WeighbridgeError(Exception):
    """A failure that a person can act on.

    `code` is a stable word for programs, `mend` one sentence on what to do, and `exit_code` what
    a command ends with (0 done, 1 failed, 2 usage, 3 not ready or unreachable, 4 audit failed).
    """

    exit_code: ClassVar[int] = 1
    default_code: ClassVar[str] = "failed"

    def __init__(self, message: str, *, mend: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.code = code or self.default_code

    def __str__(self) -> str:
        return f"{self.message} {self.mend}".rstrip()


class UsageError(WeighbridgeError):
    """The command line or the settings ask for something that does not exist."""

    exit_code = 2
    default_code = "usage"


class NotReadyError(WeighbridgeError):
    """Something this process needs is missing, not up yet, or unreachable."""

    exit_code = 3
    default_code = "not_ready"


class BadRecordError(WeighbridgeError):
    """A record in one of our own topics is not what the contract says."""

    default_code = "bad_record"
