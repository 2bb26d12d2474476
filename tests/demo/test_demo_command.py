"""`weighbridge demo` as a user runs it: a whole run with its faults, short."""

import os
import re
import subprocess
import sys
from pathlib import Path

import orjson
import pytest

COMMAND = (sys.executable, "-m", "broker.cli", "demo")
LANES = {"light", "medium", "heavy"}


def run(*arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "120", **more}
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        timeout=200,
        env=environment,
        check=False,
    )


@pytest.mark.timeout(240)
def test_kills_and_an_outage_lose_and_double_nothing(tmp_path: Path) -> None:
    file = tmp_path / "audit.json"
    done = run("--prompts", "200", "--speed", "6", "--json", str(file))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    audit = orjson.loads(file.read_bytes())
    assert (audit["accepted"], audit["completed"], audit["sent"]) == (200, 200, 200)
    assert (audit["lost"], audit["duplicates"], audit["pending"]) == (0, 0, 0)
    # The further ones get work when those before them are known to be full: a short run on a busy
    # machine may end before.
    assert {"openai", "azure"} <= set(audit["providers"])
    assert set(audit["lanes"]) == LANES
    assert audit["calls"] >= audit["completed"]
    assert len(audit["faults"]) == 3
    assert {"seconds", "ready_s", "moves", "repeated_calls"} <= set(audit)
    for told in ("SIGKILL to worker-openai", "SIGKILL to classifier", "azure goes down", "lost 0"):
        assert told in done.stdout
    assert "Try next" in done.stdout
    assert audit["cost_usd"] > 0
    assert audit["repeats_cost_usd"] is not None
    told = " ".join(done.stdout.split())
    assert "at list prices all calls cost" in told
    kinds = (
        r"[1-9]\d* of the answers come as streams; [1-9]\d* requests ask for a picture and [1-9]"
    )
    assert re.search(kinds, told)


def test_a_real_provider_is_never_called() -> None:
    done = run(WEIGHBRIDGE_PROVIDERS__OPENAI__BASE_URL="http://127.0.0.1:9")
    assert done.returncode == 2
    assert "must not call real providers" in done.stderr
