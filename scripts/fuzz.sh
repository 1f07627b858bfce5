#!/usr/bin/env bash
# Runs every fuzz target for a few seconds: scripts/fuzz.sh SECONDS. Skipped, with the reason, where cargo-fuzz or a nightly
# compiler is missing.
set -euo pipefail

if [ ! -f fuzz/Cargo.toml ]; then
    echo "fuzz: skipped, there are no fuzz targets"
elif ! command -v cargo-fuzz > /dev/null; then
    echo "fuzz: skipped, cargo-fuzz is not installed (cargo install cargo-fuzz --locked)"
elif ! cargo +nightly --version > /dev/null 2>&1; then
    echo "fuzz: skipped, there is no nightly compiler (rustup toolchain install nightly)"
else
    for target in $(cargo +nightly fuzz list); do
        echo "fuzz: $target for $1 s"
        cargo +nightly fuzz run "$target" -- -max_total_time="$1" -rss_limit_mb=2048
    done
fi
