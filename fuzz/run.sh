#!/bin/sh
# Fuzzes every target for the given number of seconds each: fuzz/run.sh SECONDS [TARGET...]
#
# Works on the stable toolchain: no sanitizer is used (the program forbids unsafe code, so there is little for one to
# find), and the coverage instrumentation that libFuzzer needs is let through by RUSTC_BOOTSTRAP. Exits with 0 and says so
# where cargo-fuzz is not installed; the seeds are run by `cargo test` all the same. A failing input is left in
# fuzz/artifacts; put it into fuzz/seeds with the fix.
set -eu
cd "$(dirname "$0")/.."

seconds=${1:?usage: fuzz/run.sh SECONDS [TARGET...]}
shift
[ $# -gt 0 ] || set -- request_splice canonical sse config

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz/run.sh: skipped, cargo-fuzz is not installed (cargo install --locked cargo-fuzz)" >&2
    exit 0
fi

export RUSTC_BOOTSTRAP=1
for target in "$@"; do
    mkdir -p "fuzz/corpus/$target"
    # The first directory grows, the second is only read.
    cargo fuzz run --sanitizer none "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- \
        -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -dict="fuzz/dictionaries/$target.dict"
done
