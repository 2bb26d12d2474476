"""The bench as a user runs it: short, and marked as such."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import psutil

COMMAND = (sys.executable, "-m", "broker.bench")


def processes_in(folder: Path) -> Iterator[int]:
    """Those that were told of this folder: the broker on its command line, others by variable."""
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), *process.environ().values()]
        except psutil.Error:
            continue
        if process.pid != os.getpid() and any(str(folder) in word for word in told):
            yield process.pid


def test_a_quick_run_gives_its_line_a_table_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [*COMMAND, "--quick", "--only", "whole_way_p50_50"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        # A user's own settings have nothing to do with a measurement.
        env={**os.environ, "WEIGHBRIDGE_KAFKA__PREFIX": "own", "TMPDIR": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    (line,) = [orjson.loads(text) for text in done.stdout.splitlines()]
    assert line["name"] == "whole_way_p50_50"
    assert (line["unit"], line["runs"], line["target"]) == ("ms", 1, 16)
    assert line["quick"] is True
    assert 0 < line["min"] <= line["median"] <= line["max"]
    assert "QUICK" in done.stderr
    assert "cores" in done.stderr
    assert list(processes_in(tmp_path)) == []
    assert list(tmp_path.glob("weighbridge-bench-*")) == []


def test_ctrl_c_ends_every_child_and_takes_the_data_away(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "--quick", "--only", "whole_way_p50_50"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as bench:
        try:
            assert bench.stderr is not None
            said = ""
            while "warming" not in said:
                line = bench.stderr.readline()
                assert line, said
                said += line
            assert len(list(processes_in(tmp_path))) >= 2
            bench.send_signal(signal.SIGINT)
            _, rest = bench.communicate(timeout=60)
        finally:
            bench.kill()
    assert bench.returncode == 130, said + rest
    assert "Traceback" not in rest
    assert list(processes_in(tmp_path)) == []
    assert list(tmp_path.glob("weighbridge-bench-*")) == []


def test_a_figure_that_is_not_there_is_one_sentence() -> None:
    done = subprocess.run(
        [*COMMAND, "--only", "speed"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert "whole_way_rate" in done.stderr
    assert "Traceback" not in done.stderr
