"""Logs: one line an event, names and numbers only. Prompts, answers and keys never reach one."""

import logging
import os
import sys
from typing import Any, TextIO

import structlog

from broker.telemetry.safe_traceback import traceback_without_values

_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
NOISY = (
    *("faust", "mode", "aiokafka", "aiohttp.access"),
    # What fetches tokens: each request of it would be told, at `debug` with what it holds.
    *("azure", "google", "msal", "urllib3"),
)


def configure_logs(level: str = "info", form: str = "auto", stream: TextIO | None = None) -> None:
    """Send every log line to `stream` (standard error).

    `form` is `console`, `json`, or `auto`: console on a terminal, JSON elsewhere. Libraries that
    log through the standard library come out in the same form, the talkative ones from WARNING.
    """
    out = stream or sys.stderr
    as_console = form == "console" or (form == "auto" and out.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    colours = out.isatty() and not os.environ.get("NO_COLOR")
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=colours)
        if as_console
        else structlog.processors.JSONRenderer(sort_keys=False)
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=structlog.stdlib.LoggerFactory(),
        # A cached logger would keep its first configuration, whatever is configured later.
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    final: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        # Not structlog's: on a terminal it shows the local variables, prompts and keys among them.
        _exception_without_values,
        renderer,
    ]
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=final)
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS[level])
    for name in NOISY:
        logging.getLogger(name).setLevel(max(_LEVELS[level], logging.WARNING))


def _exception_without_values(_logger: Any, _name: str, line: dict[str, Any]) -> dict[str, Any]:
    told = line.pop("exc_info", None)
    error = (
        told if isinstance(told, BaseException) else told[1] if isinstance(told, tuple) else None
    )
    if told is True:
        error = sys.exc_info()[1]
    if error is not None:
        line["exception"] = traceback_without_values(error)
    return line


def get_logger(**bound: Any) -> Any:
    """A logger that carries these fields on every line."""
    return structlog.get_logger(**bound)
