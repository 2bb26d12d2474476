"""llama.cpp's own server in a process of ours: a model from a file, OpenAI's paths on a port."""

import importlib.util
import os
import re
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from broker.records.errors import NotReadyError, UsageError

PACKAGE: Final = "xllamacpp"
_MAGIC: Final = b"GGUF"
_ERROR: Final = re.compile(r"(?:error loading model|gguf_init_\w+): (?!llama_model_loader: )(.+)")
_BIND: Final = "couldn't bind"


@dataclass(frozen=True, slots=True)
class ModelServer:
    """What is served, and how: `context_tokens` for each of the `slots` calls at once."""

    file: Path
    name: str
    host: str
    port: int
    slots: int
    context_tokens: int


def model_file(path: Path) -> Path:
    """The whole path of a model that could be served here; raises UsageError.

    Only what a first look tells: the package, the file, and what it begins with.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise UsageError(
            "A local model needs llama.cpp, and its package xllamacpp is not installed.",
            mend="Run `pip install 'weighbridge[local]'`.",
            code="no_package",
        )
    try:
        with path.open("rb") as file:
            begins = file.read(len(_MAGIC))
    except OSError as error:
        raise UsageError(
            f"The model {path} cannot be read: {error.strerror or type(error).__name__}.",
            mend="Name a GGUF file that this user may read.",
            code="bad_model",
        ) from error
    if begins != _MAGIC:
        raise UsageError(
            f"The file {path} is no GGUF model.",
            mend="Name one in llama.cpp's format; such files usually end in .gguf.",
            code="bad_model",
        )
    return path.resolve()


def serve_model(server: ModelServer, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; `ready` is told the address once the model is loaded.

    Raises UsageError when llama.cpp cannot load the model, NotReadyError when the port is taken.
    """
    ending = threading.Event()
    running = _started(server)
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: ending.set())
        ready(str(running.listening_address))
        ending.wait()
    finally:
        # Its threads must be gone before Python ends, or neither does.
        del running


def _started(server: ModelServer) -> Any:
    # A heavy import, and a package that need not be there.
    import xllamacpp  # noqa: PLC0415 - see above

    try:
        return xllamacpp.Server(_parameters(xllamacpp, server, verbosity=0))
    except RuntimeError:
        said = _why(xllamacpp, server)
    if _BIND in said:
        raise NotReadyError(
            f"Port {server.port} at {server.host} cannot be had.",
            mend="End what listens there, or name another with --port.",
            code="port_taken",
        )
    found = _ERROR.findall(said)
    raise UsageError(
        f"llama.cpp cannot load {server.file}: {found[-1] if found else 'it does not say why'}.",
        mend="Fetch the file again, or take another model.",
        code="bad_model",
    )


def _why(xllamacpp: Any, server: ModelServer) -> str:
    """What llama.cpp says of a failure, which it does on standard error only.

    There it would also write parts of prompts later on, so it is silent until it is asked here.
    """
    with tempfile.TemporaryFile() as said:
        with _standard_error_to(said):
            try:
                again = xllamacpp.Server(_parameters(xllamacpp, server, verbosity=1))
            except RuntimeError:
                pass
            else:
                del again
        said.seek(0)
        return said.read(100_000).decode(errors="replace")


@contextmanager
def _standard_error_to(file: IO[bytes]) -> Iterator[None]:
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        os.dup2(file.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _parameters(xllamacpp: Any, server: ModelServer, *, verbosity: int) -> Any:
    given = xllamacpp.CommonParams()
    given.model.path = str(server.file)
    given.model_alias = {server.name}
    given.hostnames = [server.host]
    given.port = server.port
    given.n_parallel = server.slots
    given.n_ctx = server.slots * server.context_tokens
    given.verbosity = verbosity
    given.offline = True
    given.ui = False
    # Whoever can reach the port must not read what others asked.
    given.endpoint_slots = False
    given.endpoint_props = False
    # No page in a browser of this machine may call it.
    given.cors_origins = ""
    given.cors_origins_explicit = True
    return given
