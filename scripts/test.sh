#!/usr/bin/env bash
# Runs every test and ends with which clients were tested, what was skipped and why, and the counts of each suite that has tests
# and of all: `total: N passed, N failed, N skipped` is the last line.
# The clients' tests are part of `cargo test`; EMBERWAY_TEST_PYTHON, EMBERWAY_TEST_AZ and EMBERWAY_TEST_NODE name their programs,
# EMBERWAY_TEST_PAGE the Node that tests the page in Chromium.
set -euo pipefail

output=${CARGO_TARGET_DIR:-target}/test-output.txt
mkdir -p "$(dirname "$output")"
status=0
{
    # Not --all-targets at once: that would leave out the examples in the documentation.
    cargo test --locked --all-targets --no-fail-fast || status=$?
    cargo test --locked --doc --no-fail-fast || status=$?
    exit "$status"
} 2>&1 | tee "$output" || status=$?

echo
if [ -z "${EMBERWAY_TEST_PYTHON:-}" ]; then
    echo "The Python clients were not tested: EMBERWAY_TEST_PYTHON is not set (make setup-python)."
else
    python_versions='import platform; from importlib.metadata import version
print(", ".join(f"{name} {version(name)}" for name in ("openai", "langchain-openai", "azure-mgmt-cognitiveservices")), "on Python", platform.python_version())'
    echo "Python clients that were tested: $("$EMBERWAY_TEST_PYTHON" -c "$python_versions" || echo "of unknown versions")"
fi
if [ -z "${EMBERWAY_TEST_AZ:-}" ]; then
    echo "The Azure CLI was not tested: EMBERWAY_TEST_AZ is not set, or it could not be installed (make setup-azure-cli says why)."
else
    az_version=$(AZURE_CONFIG_DIR="$(dirname "$output")/azure-cli" "$EMBERWAY_TEST_AZ" version --query '"azure-cli"' --output tsv || echo "of unknown version")
    echo "Azure CLI that was tested: $az_version"
fi
if [ -z "${EMBERWAY_TEST_NODE:-}" ]; then
    echo "The Node client was not tested: EMBERWAY_TEST_NODE is not set (make setup-node; needs Node 20.19 or newer)."
else
    node_versions='`openai ${require("./tests/clients/node/node_modules/openai/package.json").version} on Node ${process.versions.node}`'
    echo "Node client that was tested: $("$EMBERWAY_TEST_NODE" -p "$node_versions" || echo "of unknown version")"
fi
if [ -z "${EMBERWAY_TEST_PAGE:-}" ]; then
    echo "The page was not tested: EMBERWAY_TEST_PAGE is not set (make setup-page; needs Chromium and Node 20 or newer)."
else
    playwright_version=$("$EMBERWAY_TEST_PAGE" -p 'require("./tests/page/node_modules/@playwright/test/package.json").version' || echo "of unknown version")
    echo "The page was tested in $("${CHROMIUM:-chromium}" --version 2> /dev/null || echo "Chromium of unknown version") through Playwright $playwright_version"
fi
prometheus=${EMBERWAY_TEST_PROMETHEUS:-prometheus}
if command -v "$prometheus" > /dev/null; then
    echo "Dashboards and rules were tested with: $("$prometheus" --version 2>&1 | head -n 1 || echo "a Prometheus of unknown version")"
else
    echo "Dashboards and rules were not tested with a real Prometheus: there is no $prometheus (Debian's prometheus)."
fi
# "Running unittests src/lib.rs (…)", "Running tests/it/main.rs (…)", "Doc-tests emberway", each followed by "test result: …".
awk '
    $1 == "Running" && /\.rs \(/ { name = $2 == "unittests" ? $3 : $2 }
    $1 == "Doc-tests" { name = "documentation" }
    $1 == "test" && / \.\.\. ignored(, |$)/ {
        reason = $0
        sub(/^.* \.\.\. ignored(, )?/, "", reason)
        print "skipped " $2 ": " (reason == "" ? "no reason is given" : reason)
    }
    /^test result: / {
        sub(/^test result: [A-Za-z]+\. /, "")
        split($0, part, "; ")
        passed = part[1] + 0; failed = part[2] + 0; skipped = part[3] + 0
        suites++; all_passed += passed; all_failed += failed; all_skipped += skipped
        if (passed + failed + skipped > 0) printf "%s: %d passed, %d failed, %d skipped\n", name, passed, failed, skipped
    }
    END {
        if (suites == 0) print "no suite ran to its end"
        printf "total: %d passed, %d failed, %d skipped\n", all_passed, all_failed, all_skipped
        exit all_passed == 0
    }
' "$output" || status=1
exit "$status"
