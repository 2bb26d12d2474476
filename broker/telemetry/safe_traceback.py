"""A failure in words without values: the way to it, the types, no locals.

The message of a foreign error may quote a prompt, an answer or a key; ours never do.
"""

import traceback

from broker.records.errors import WeighbridgeError

_ABOUT_THE_PROGRAM = (
    *(AttributeError, ConnectionError, FileNotFoundError, ImportError, NameError, PermissionError),
    *(TimeoutError, TypeError, WeighbridgeError),
)
"""Their messages are about files, addresses, names and types."""


def traceback_without_values(error: BaseException) -> str:
    """Frames and types from the failure down to where it came from."""
    lines: list[str] = []
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        if lines:
            lines += ["", "which came from:", ""]
        lines += [line.rstrip("\n") for line in traceback.format_tb(following.__traceback__)]
        lines.append(_named(following))
        following = following.__cause__ or (
            None if following.__suppress_context__ else following.__context__
        )
    return "\n".join(lines)


def _named(error: BaseException) -> str:
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    if isinstance(error, _ABOUT_THE_PROGRAM):
        return f"{name}: {error}"
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"
    return f"{name} (its message is left out: it may quote a prompt or a key)"
