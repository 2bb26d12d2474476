#!/bin/sh
# Resolves the lock files for every Python and platform that Weighbridge supports.
set -eu
cd "$(dirname "$0")/.."

compile() {
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@"
}

compile pyproject.toml --extra embedded --group build --output-file requirements.lock
compile --group test --group lint --group lock --constraint requirements.lock \
    --output-file requirements-dev.lock
