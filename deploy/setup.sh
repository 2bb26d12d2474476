#!/bin/sh
# Makes .venv from the lock files and fetches Kafka's jars. Usage: setup.sh run|dev
# Says one sentence and ends with 3 when something is missing. The second time it does nothing.
set -eu

profile=${1:-run}
cd "$(dirname "$0")/.."
venv=.venv
needed_mib=1500

missing() {
    printf 'weighbridge: %s\n' "$*" >&2
    exit 3
}

# Settings of pip that would send packages elsewhere than into the virtual environment.
unset PIP_USER PIP_TARGET PIP_PREFIX PIP_CONSTRAINT PIP_REQUIRE_VIRTUALENV PIP_NO_DEPS \
    PYTHONPATH PYTHONHOME 2>/dev/null || true

case $profile in
run) locks=requirements.lock ;;
dev) locks="requirements.lock requirements-dev.lock" ;;
*) printf 'usage: %s run|dev\n' "$0" >&2; exit 2 ;;
esac

stamp=$venv/.weighbridge-$profile
# shellcheck disable=SC2086 # the names of the lock files are words
wanted=$(cat $locks pyproject.toml broker/log/embedded/jars.lock | cksum)

if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    python=${PYTHON:-python3}
    command -v "$python" >/dev/null 2>&1 ||
        missing "there is no $python here: install Python 3.11 or later (Debian, Ubuntu: apt install python3 python3-venv)."
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        missing "$python is too old: name Python 3.11 or later, as in 'make PYTHON=python3.12 demo'."
    free_mib=$(df -Pk . | awk 'NR == 2 { print int($4 / 1024) }')
    [ "$free_mib" -ge "$needed_mib" ] ||
        missing "only $free_mib MiB of disk are free here, and $needed_mib are needed: make room."
    if [ ! -x "$venv/bin/python" ]; then
        echo "1/3 making $venv with $("$python" --version)"
        if ! "$python" -c 'import ensurepip, venv' 2>/dev/null || ! "$python" -m venv "$venv"; then
            rm -rf "$venv"
            missing "$python cannot make virtual environments: install its venv package (Debian, Ubuntu: apt install python3-venv)."
        fi
    fi
    for lock in $locks; do
        echo "2/3 installing $(grep -c '^[a-z0-9]' "$lock") packages of $lock, hashes checked"
        "$venv/bin/python" -m pip install --disable-pip-version-check --progress-bar off --quiet \
            --require-hashes --no-deps --requirement "$lock" ||
            missing "the packages of $lock could not be installed: the first run needs the network; check it (pip's words are above) and try again."
    done
    "$venv/bin/python" -m pip install --disable-pip-version-check --quiet --no-deps \
        --no-build-isolation --no-index --editable . ||
        missing "this project could not be installed into $venv: run 'make clean' and try again."
    echo "3/3 fetching Apache Kafka"
    "$venv/bin/weighbridge" kafka fetch
    printf '%s' "$wanted" >"$stamp"
fi
