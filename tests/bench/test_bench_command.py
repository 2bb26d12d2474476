"""The bench as a user runs it: short, and marked as such."""

import os
import subprocess
import sys

import orjson
import psutil

COMMAND = (sys.executable, "-m", "broker.bench")


def test_a_quick_run_gives_its_line_a_table_and_leaves_nothing_behind() -> None:
    done = subprocess.run(
        [*COMMAND, "--quick", "--only", "whole_way_p50_50"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        # A user's own settings have nothing to do with a measurement.
        env={**os.environ, "WEIGHBRIDGE_KAFKA__PREFIX": "users-own", "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr
    (line,) = [orjson.loads(text) for text in done.stdout.splitlines()]
    assert line["name"] == "whole_way_p50_50"
    assert (line["unit"], line["runs"], line["target"]) == ("ms", 1, 16)
    assert line["quick"] is True
    assert 0 < line["min"] <= line["median"] <= line["max"]
    assert "QUICK" in done.stderr
    assert "cores" in done.stderr
    left = [one.info["cmdline"] for one in psutil.process_iter(["cmdline"])]
    assert not [words for words in left if words and "weighbridge-bench-" in " ".join(words)]


def test_a_figure_that_is_not_there_is_one_sentence() -> None:
    done = subprocess.run(
        [*COMMAND, "--only", "speed"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "whole_way_rate" in done.stderr
    assert "Traceback" not in done.stderr
