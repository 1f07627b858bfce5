#!/usr/bin/env bash
# Prints the path of a Node of version 20 or newer that has npm; without one it says so on stderr and prints nothing.
set -euo pipefail

for candidate in "${NODE:-}" node nodejs; do
    path=$(command -v "${candidate:-none}" || true)
    if [ -n "$path" ] && [ "$("$path" -p 'process.versions.node.split(".")[0]')" -ge 20 ] && command -v npm > /dev/null; then
        echo "$path"
        exit 0
    fi
done
echo "setup: no Node 20 or newer with npm here (set NODE=/path/to/node); the Node client's tests will be skipped" >&2
