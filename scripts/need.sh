#!/usr/bin/env bash
# Makes sure that programs are there: scripts/need.sh PROGRAM=DEBIAN_PACKAGE...
# Those that are missing are installed with apt; where there is no apt, it says what is missing and fails.
set -euo pipefail

missing=() packages=()
for pair in "$@"; do
    # A program may also be a test of its own, such as `python3 -c 'import venv'`.
    if ! bash -c "${pair%%=*}" > /dev/null 2>&1 < /dev/null; then
        missing+=("${pair%%=*}")
        packages+=("${pair#*=}")
    fi
done
if [ "${#missing[@]}" -eq 0 ]; then
    exit 0
fi
if ! command -v apt-get > /dev/null; then
    echo "missing: ${missing[*]} (Debian packages: ${packages[*]}); install them and run make again" >&2
    exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
    as_root=(sudo)
fi
echo "setup: installing ${packages[*]} with apt"
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
