#!/usr/bin/env python3
"""What does the operator's page weigh, how soon is it there, and what does it cost the gateway?

A simulator, the gateway and steady load, and Chromium through Playwright. Printed: what is sent for the first view and in all; the time
from the request to the first paint and to the last figure of the overview, each in a fresh browser; and the processor's time that the
gateway takes with pages open and with none, in turns, so that both see the same machine and the same load.

    make build-release setup-page
    python3 benches/page/run.py --emberway target/release/emberway

It exits with 1 when a bound is missed: 300 KiB in all, 2 % of a core for ten pages. With 2 when the measurement itself is not valid.
Needs Linux.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from programs import Invalid, Server, end, fetch, free_port, say, table, tail  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
KEY, UPSTREAM_KEY = "bench-key-0123456789abcdef", "upstream-key-0123456789abcdef"
MODEL = "bot"
WEIGHT_MOST_KIB = 300
CPU_MOST = 0.02
TICK = os.sysconf("SC_CLK_TCK")
REGIONS = ["swedencentral", "eastus2", "northcentralus"]


def scenario(ports):
    return {
        "seed": 1,
        "engine": {"time_scale": 0.2},
        "limits": {"enabled": False},
        "accounts": [
            {
                "name": f"sim-{region}",
                "region": region,
                "address": f"127.0.0.1:{port}",
                "api_keys": [UPSTREAM_KEY],
                "deployments": [{"name": name, "model": "gpt-4.1-mini-2025-04-14.ft-1", "capacity": 10_000} for name in ("a", "b")],
            }
            for region, port in zip(REGIONS, ports, strict=True)
        ],
    }


def configuration(directory, ports, listener, admin):
    members = [f"sim-{region}/{name}" for region in REGIONS for name in ("a", "b")]
    return {
        "listeners": [{"address": f"127.0.0.1:{listener}"}],
        "admin": {"address": f"127.0.0.1:{admin}"},
        "usage": {"path": str(directory / "usage.db")},
        "log": {"filter": "warn"},
        "shutdown": {"delay": "0s", "drain": "5s"},
        "clients": [{"name": "bench", "keys": ["${env:BENCH_KEY}"]}],
        "resources": [
            {
                "name": f"sim-{region}",
                "region": region,
                "endpoint": f"http://127.0.0.1:{port}",
                "credential": {"api_key": "${env:UPSTREAM_KEY}"},
                "deployments": [{"name": name, "sku": "Standard", "capacity": 10_000} for name in ("a", "b")],
            }
            for region, port in zip(REGIONS, ports, strict=True)
        ],
        "pools": [{"name": "bot", "tiers": [members]}],
        "routes": [{"name": MODEL, "pool": "bot"}],
    }


def cpu_seconds(pid):
    """Processor time of all its threads, from the kernel's fields `utime` and `stime`."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def share(pid, seconds):
    """The part of a core that it takes for so long."""
    begun, before = time.monotonic(), cpu_seconds(pid)
    time.sleep(seconds)
    return (cpu_seconds(pid) - before) / (time.monotonic() - begun)


class Pages:
    """Chromium with pages open, or what it measured."""

    def __init__(self, options, admin):
        self.command = [options.node, ROOT / "tests/page/support/pages.mjs", f"http://127.0.0.1:{admin}"]

    def measure(self, times):
        out = subprocess.run([*map(str, self.command), "measure", str(times)], capture_output=True, text=True, timeout=300)
        if out.returncode:
            raise Invalid(f"the pages could not be measured:\n{out.stderr}")
        return json.loads(out.stdout)

    @contextlib.contextmanager
    def open(self, count):
        process = subprocess.Popen([*map(str, self.command), "open", str(count)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)
        try:
            if process.stdout.readline().strip() != "open":
                raise Invalid("the pages did not open")
            yield
            process.stdin.close()
            process.wait(30)
        finally:
            end(process)


def cpu(options, pages, pid):
    """Shares of a core with none and with all pages open, in turns."""
    rounds = []
    for _ in range(options.rounds):
        without = share(pid, options.seconds)
        with pages.open(options.pages):
            # What opening costs is over by then.
            time.sleep(options.settle)
            rounds.append((without, share(pid, options.seconds)))
        say(f"round {len(rounds)}: {rounds[-1][0]:.2%} without, {rounds[-1][1]:.2%} with")
    return rounds


def run(options, directory):
    ports, listener, admin = [free_port() for _ in REGIONS], free_port(), free_port()
    (directory / "scenario.yaml").write_text(json.dumps(scenario(ports)))  # JSON is YAML.
    (directory / "emberway.yaml").write_text(json.dumps(configuration(directory, ports, listener, admin)))
    with contextlib.ExitStack() as stack:
        fleet = Server("simulator", [options.emberway, "simulate", "--scenario", directory / "scenario.yaml"], directory)
        stack.callback(fleet.stop)
        keys = {"BENCH_KEY": KEY, "UPSTREAM_KEY": UPSTREAM_KEY}
        gateway = Server("gateway", [options.emberway, "run", "--config", directory / "emberway.yaml"], directory, keys)
        stack.callback(gateway.stop)
        gateway.wait_ready(f"http://127.0.0.1:{admin}/readyz")
        if b"<script" not in fetch(f"http://127.0.0.1:{admin}/"):
            raise Invalid("the program has no page in it; `make page`, then build again")
        command = [options.emberway, "load", "--no-progress", "--url", f"http://127.0.0.1:{listener}", "--model", MODEL, "--key", KEY]
        flags = ["--rate", options.rate, "--duration", "1h", "--heads", "20", "--stream-share", "0.5", "--concurrency", "64"]
        load = Server("load", [*command, *map(str, flags)], directory)
        stack.callback(lambda: end(load.process))
        pages = Pages(options, admin)
        time.sleep(options.settle)
        measured = pages.measure(options.times)
        rounds = cpu(options, pages, gateway.process.pid)
        if load.process.poll() is not None:
            raise Invalid(f"the load ended:\n{tail(load.log)}")
    return measured, rounds


def weights():
    dist = ROOT / "dashboards/web/dist"
    return sum(path.stat().st_size for path in dist.rglob("*.br")) / 1024


def show(options, measured, rounds):
    median = lambda values: statistics.median(values)  # noqa: E731
    spread = lambda values: f"{min(values):.0f} to {max(values):.0f}"  # noqa: E731
    rows = [
        ["all files, brotli", f"{weights():.1f} KiB", ""],
        ["sent for the first view", f"{median(measured['bytes']) / 1024:.1f} KiB", ""],
        ["first paint", f"{median(measured['paint_ms']):.0f} ms", spread(measured["paint_ms"])],
        ["overview complete", f"{median(measured['complete_ms']):.0f} ms", spread(measured["complete_ms"])],
    ]
    added = [after - before for before, after in rounds]
    rows.append(["gateway, no page", f"{median([before for before, _ in rounds]):.2%} of a core", ""])
    rows.append([f"gateway, {options.pages} pages", f"{median([after for _, after in rounds]):.2%} of a core", ""])
    rows.append(["added by the pages", f"{median(added):.2%} of a core", f"{min(added):.2%} to {max(added):.2%}"])
    print("\n".join(table(["figure", "median", "spread"], rows)))
    missed = []
    if weights() > WEIGHT_MOST_KIB:
        missed.append(f"{weights():.1f} KiB in all, not {WEIGHT_MOST_KIB}")
    if median(added) > CPU_MOST:
        missed.append(f"{options.pages} pages add {median(added):.2%} of a core, not {CPU_MOST:.0%}")
    return missed


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emberway", type=pathlib.Path, default=ROOT / "target/release/emberway", help="the program")
    parser.add_argument("--node", default="node", help="Node")
    parser.add_argument("--pages", type=int, default=10, help="pages open at one time")
    parser.add_argument("--rate", type=float, default=20, help="requests a second meanwhile")
    parser.add_argument("--rounds", type=int, default=3, help="times that both are measured")
    parser.add_argument("--seconds", type=int, default=30, help="length of each measurement")
    parser.add_argument("--settle", type=int, default=10, help="seconds before each")
    parser.add_argument("--times", type=int, default=5, help="fresh browsers for the first view")
    return parser.parse_args()


def main():
    options = parse()
    options.emberway = options.emberway.resolve()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bench-page-"))
    try:
        if not options.emberway.exists():
            raise Invalid(f"no `{options.emberway}`; make build-release")
        measured, rounds = run(options, directory)
    except (Invalid, subprocess.SubprocessError) as problem:
        say(f"invalid: {problem}")
        return 2
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    missed = show(options, measured, rounds)
    for bound in missed:
        print(f"missed: {bound}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
