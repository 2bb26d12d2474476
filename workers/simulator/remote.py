"""Talks to a running simulator: for commands, the demonstration and tests. Blocking."""

import http.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

import orjson

from broker.records.errors import NotReadyError, UsageError
from broker.settings import Settings
from workers.simulator.addresses import CONTROL, DEFAULT_PORT, SIMULATOR_HEADER

TIMEOUT_S: Final = 10.0
_CLIENT_ERROR: Final = range(400, 500)


def find_simulator(settings: Settings, state: Path) -> str:
    """Where the simulator is: the settings' url, else what `up` left in `state`, else the usual."""
    if settings.simulator.url is not None:
        return settings.simulator.url
    try:
        url = orjson.loads((state / "up.json").read_bytes())["simulator"]
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        url = None
    return url if isinstance(url, str) else f"http://127.0.0.1:{DEFAULT_PORT}"


class RemoteSimulator:
    """The simulator at `url`.

    Every method raises NotReadyError when nothing answers there, and UsageError when it refuses.
    """

    def __init__(self, url: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise UsageError(
                f"{url!r} is no address of a simulator.", mend="Give it as http://HOST:PORT."
            )
        self.url = url.rstrip("/")
        # It is on this machine or next to it: a proxy of the environment is not for it.
        self._opener = build_opener(ProxyHandler({}))

    def faults(self, provider: str | None = None) -> dict[str, Any]:
        """What goes wrong at one provider, or by provider at all of them."""
        return self._ask("GET", _path("faults", provider))

    def set_faults(
        self, provider: str, faults: Mapping[str, Any], *, keep: bool = True
    ) -> dict[str, Any]:
        """Set faults by the names of FaultSettings; `keep` leaves those that are not named."""
        return self._ask("PATCH" if keep else "PUT", _path("faults", provider), faults)

    def clear_faults(self, provider: str | None = None) -> dict[str, Any]:
        """Nothing goes wrong any more at one provider, or at any."""
        return self._ask("DELETE", _path("faults", provider))

    def capacity(self, provider: str | None = None) -> dict[str, Any]:
        """What one provider takes now, or by provider what each of them does."""
        return self._ask("GET", _path("capacity", provider))

    def set_capacity(self, provider: str, **capacity: float | None) -> dict[str, Any]:
        """Change what it takes, by the names of CapacitySettings; what is not named stays."""
        return self._ask("PATCH", _path("capacity", provider), capacity)

    def reset_capacity(self, provider: str | None = None) -> dict[str, Any]:
        """Back to what the settings say, at one provider or at all."""
        return self._ask("DELETE", _path("capacity", provider))

    def served(
        self,
        provider: str | None = None,
        *,
        prompt_id: str | None = None,
        ids: bool = False,
        history: bool = False,
    ) -> dict[str, Any]:
        """Counts by provider; `by_id` in each holds one prompt's calls, or with `ids` all.

        `history` in each, if it is wanted, has rows of `history.COLUMNS`, one for each second.
        """
        asked = {
            "provider": provider,
            "id": prompt_id,
            "ids": "1" if ids else None,
            "history": "1" if history else None,
        }
        query = urlencode({name: value for name, value in asked.items() if value is not None})
        return self._ask("GET", f"served?{query}")

    def forget_served(self) -> dict[str, Any]:
        """Count from zero."""
        return self._ask("DELETE", "served")

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        request = Request(  # noqa: S310 - its scheme was checked
            f"{self.url}{CONTROL}{path}",
            method=method,
            data=None if body is None else orjson.dumps(body),
            headers={"Content-Type": "application/json"},
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as reply:
                known = reply.headers.get(SIMULATOR_HEADER) is not None
                answer: dict[str, Any] = orjson.loads(reply.read())
        except HTTPError as error:
            with error:
                raise self._refused(error) from None
        except (URLError, OSError, http.client.HTTPException, orjson.JSONDecodeError):
            raise self._away() from None
        if not known:
            raise self._away()
        return answer

    def _refused(self, error: HTTPError) -> NotReadyError | UsageError:
        try:
            inner = orjson.loads(error.read())["error"]
            message, code = str(inner["message"]), str(inner["code"])
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError, KeyError, TypeError):
            return self._away()
        if error.code in _CLIENT_ERROR:
            return UsageError(message, code=code)
        return NotReadyError(message, code=code)

    def _away(self) -> NotReadyError:
        return NotReadyError(
            f"No simulator answers at {self.url}.",
            mend="Start one with `weighbridge simulator` or `weighbridge up`, or give its --url.",
            code="no_simulator",
        )


def _path(what: str, provider: str | None) -> str:
    return what if provider is None else f"{what}/{quote(provider, safe='')}"
