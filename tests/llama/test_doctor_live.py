"""`weighbridge doctor --live`: what a cheap call of each provider brings back."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest

from broker.settings import load_settings
from broker.supervisor.ports import free_ports
from tests.cli.running import COMMAND, environment, run
from tests.cli.serving import serving
from tests.faults.deployment import answers_ok, wait_until

KEY = "sk-nobody-may-see-this-key"
MODELS: dict[str, Any] = {
    "talk": {"default": True},
    "vectors": {"kind": "embedding"},
    "picture": {"kind": "image"},
}
CHAT = {"talk": "tiny"}


class Refusing(BaseHTTPRequestHandler):
    """Says no, with the status in the path, and quotes the key as some do."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        status = int(self.path.split("/")[1])
        key = self.headers["authorization"].split()[-1]
        message = f"Incorrect API key provided: {key}."
        body = json.dumps({"error": {"message": message, "type": "t", "code": "said_no"}})
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("x-ratelimit-limit-requests", "500")
        self.send_header("x-ratelimit-remaining-requests", "499")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def refusing() -> Iterator[str]:
    with serving(Refusing) as url:
        yield url


def live(**given: str) -> dict[str, dict[str, Any]]:
    """The findings by what was checked; no broker runs."""
    ran = run(load_settings(), "doctor", "--live", "--json", expect=3, **given)
    assert KEY not in ran.out + ran.err
    return {check["check"]: check for check in ran.json()["checks"]}


def test_what_came_back_of_each_provider_is_told_and_no_key(llama: str, refusing: str) -> None:
    (unused,) = free_ports(1)
    real = {"base_url": f"{llama}/v1", "auth": "none"}
    refused = {"api_key": "env:THE_KEY", "models": CHAT}
    providers = {
        "sound": {**real, "dialect": "vllm", "models": {**CHAT, "vectors": "tiny"}},
        "vectors-only": {**real, "models": {"vectors": "tiny"}},
        "pictures-only": {**real, "models": {"picture": "tiny"}},
        "elsewhere": {**real, "base_url": llama, "dialect": "gemini", "models": CHAT},
        "key-refused": {**refused, "base_url": f"{refusing}/401/v1"},
        "busy": {**refused, "base_url": f"{refusing}/429/v1"},
        "broken": {**refused, "base_url": f"{refusing}/500/v1"},
        "gone": {**refused, "base_url": f"http://127.0.0.1:{unused}/v1"},
        "played": {"models": CHAT},
    }
    found = live(
        WEIGHBRIDGE_MODELS=json.dumps(MODELS),
        WEIGHBRIDGE_PROVIDERS=json.dumps(providers),
        THE_KEY=KEY,
    )
    sound = found["call of sound"]
    assert sound["level"] == "ok"
    facts = sound["facts"]
    assert (facts["status"], facts["model"], facts["dialect"]) == (200, "tiny", "vllm")
    assert facts["simulated"] is False
    assert 0 < facts["output_tokens"] <= 16
    assert facts["ms"] > 0
    assert f"{facts['input_tokens']} tokens in" in sound["text"]
    assert found["call of vectors-only"]["facts"]["input_tokens"] > 0
    assert "not made" in found["call of pictures-only"]["text"]
    assert found["call of elsewhere"]["facts"]["status"] == 404
    assert "base_url" in found["call of elsewhere"]["mend"]
    key = found["call of key-refused"]
    assert (key["level"], key["facts"]["status"]) == ("problem", 401)
    assert "Incorrect" not in key["text"]
    assert "providers.key-refused.api_key" in key["mend"]
    busy = found["call of busy"]
    assert busy["level"] == "warning"
    assert busy["facts"]["limits"] == {"requests_limit": 500, "requests_left": 499}
    assert "Incorrect API key provided: ********." in busy["text"]
    assert found["call of broken"]["facts"]["code"] == "said_no"
    assert "could not be reached" in found["call of gone"]["text"]
    assert "does not run" in found["call of played"]["text"]
    assert all(len(asked["messages"]) == 1 for asked in Refusing.asked)
    assert all(asked["max_completion_tokens"] == 16 for asked in Refusing.asked)


@contextmanager
def simulator() -> Iterator[str]:
    """`weighbridge simulator` for the four clouds of the default settings."""
    (port,) = free_ports(1)
    command = [*COMMAND, "simulator", "--port", str(port), "--fast"]
    with subprocess.Popen(
        command, stderr=subprocess.DEVNULL, env=environment(load_settings())
    ) as process:
        try:
            wait_until(lambda: answers_ok(port, "/livez"), 60, "the simulator is ready")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def test_simulated_providers_are_called_in_their_own_dialects_and_said_to_be() -> None:
    with simulator() as url:
        found = live(WEIGHBRIDGE_SIMULATOR__URL=url)
    for name, dialect in (("openai", "openai"), ("azure", "azure"), ("google", "gemini"),
                          ("coreweave", "vllm")):  # fmt: skip
        call = found[f"call of {name}"]
        assert call["level"] == "ok", call
        assert call["text"].startswith("the simulator, as ")
        assert (call["facts"]["dialect"], call["facts"]["simulated"]) == (dialect, True)
        assert call["facts"]["output_tokens"] > 0
