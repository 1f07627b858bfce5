#!/usr/bin/env bash
# Checks a systemd unit as if the program and its user's files were installed: scripts/check-unit.sh UNIT
set -euo pipefail

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
# `verify` wants the program to exist; any that does will do.
sed 's|^\(Exec[A-Za-z]*\)=/usr/local/bin/emberway|\1=/bin/true|' "$1" > "$directory/$(basename "$1")"
systemd-analyze verify --man=no "$directory/$(basename "$1")"
