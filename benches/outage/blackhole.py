#!/usr/bin/env python3
"""What do clients see when a region swallows packets, and how does traffic come back?

A simulated fleet of three regions, the gateway in front of it, and 200 requests a second, half of them streams. After a
while the kernel drops every packet to and from one region: no reset, no refusal, nothing. A minute later it lets them
through again. Printed: failures, latency before, in the seconds after the packets stopped, later in the outage, and
after it; and who answered, second by second, around both moments.

    cargo build --release --bin emberway
    python3 benches/outage/blackhole.py --emberway target/release/emberway

Runs itself in a network namespace of its own (`unshare`), so nothing else on the machine is touched; needs Linux, nft and ip.
It exits with 1 when a request failed that had not begun to be answered, with 2 when the measurement itself is not valid.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from programs import Invalid, Server, end, quantile, say, table, tail  # noqa: E402

REGIONS = {"swedencentral": 9101, "francecentral": 9102, "germanywestcentral": 9103}
LOST = "swedencentral"
GATEWAY, ADMIN = "127.0.0.1:8080", "127.0.0.1:9090"
KEY, UPSTREAM_KEY = "bench-key-0123456789abcdef", "upstream-key-0123456789abcdef"
MODEL = "bot"
INSIDE = "EMBERWAY_BENCH_NAMESPACE"
# What a request meets in these seconds after the packets stop is detection.
DETECTION_S = 10


def enter_namespace():
    """Starts this script again where the network is its own."""
    for tool in ("unshare", "ip", "nft"):
        if not shutil.which(tool):
            raise Invalid(f"no `{tool}`: apt-get install util-linux iproute2 nftables")
    flags = ["-n"] if os.geteuid() == 0 else ["-U", "-r", "-n"]
    command = ["unshare", *flags, sys.executable, *sys.argv]
    os.execvpe("unshare", command, {**os.environ, INSIDE: "1"})


def drop(port):
    rules = f"""
table inet lost {{
  chain in {{ type filter hook input priority 0; tcp dport {port} drop; tcp sport {port} drop; }}
}}
"""
    subprocess.run(["nft", "-f", "-"], input=rules, text=True, check=True)


def let_through():
    subprocess.run(["nft", "delete", "table", "inet", "lost"], check=True)


def scenario():
    deployments = [{"name": "ft", "model": "gpt-4.1-mini-2025-04-14.ft-1", "capacity": 10_000}]
    return {
        "seed": 1,
        "engine": {"decode_tokens_per_s": 400},
        "prompt_cache": {"machines": 64, "requests_per_minute_per_prefix": 1_000},
        "limits": {"enabled": False},
        "accounts": [
            {
                "name": region,
                "region": region,
                "address": f"127.0.0.1:{port}",
                "api_keys": [UPSTREAM_KEY],
                "deployments": deployments,
            }
            for region, port in REGIONS.items()
        ],
    }


def configuration(directory):
    resources = [
        {
            "name": region,
            "region": region,
            "endpoint": f"http://127.0.0.1:{port}",
            "credential": {"api_key": "${env:UPSTREAM_KEY}"},
            "deployments": [{"name": "ft", "sku": "Standard", "capacity": 10_000}],
        }
        for region, port in REGIONS.items()
    ]
    return {
        "listeners": [{"address": GATEWAY}],
        "admin": {"address": ADMIN},
        "usage": {"path": str(directory / "usage.db")},
        "shutdown": {"delay": "0s"},
        "clients": [{"name": "bench", "keys": ["${env:BENCH_KEY}"]}],
        "resources": resources,
        "pools": [{"name": "bot", "tiers": [[f"{region}/ft" for region in REGIONS]]}],
        "routes": [{"name": MODEL, "pool": "bot"}],
    }


def run(options, directory):
    emberway = options.emberway.resolve()
    if not emberway.exists():
        raise Invalid(f"no `{options.emberway}`; cargo build --release --bin emberway")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    (directory / "scenario.yaml").write_text(json.dumps(scenario()))  # JSON is YAML.
    config = directory / "config"
    config.mkdir()
    (config / "emberway.yaml").write_text(json.dumps(configuration(directory)))
    with contextlib.ExitStack() as stack:
        fleet = Server("simulator", [emberway, "simulate", "--scenario", directory / "scenario.yaml"], directory)
        stack.callback(fleet.stop)
        keys = {"BENCH_KEY": KEY, "UPSTREAM_KEY": UPSTREAM_KEY}
        gateway = Server("gateway", [emberway, "run", "--config", config / "emberway.yaml"], directory, keys)
        stack.callback(gateway.stop)
        gateway.wait_ready(f"http://{ADMIN}/readyz")
        report, lost_at, back_at = load(options, emberway, directory, stack)
    # The gateway has ended, so its usage store is whole.
    answers = [json.loads(line) for line in (directory / "answers.jsonl").read_text().splitlines()]
    with contextlib.closing(sqlite3.connect(directory / "usage.db")) as store:
        rows = store.execute("SELECT started_at_ms, region, attempts, outcome FROM usage").fetchall()
    return report, answers, rows, lost_at, back_at


def load(options, emberway, directory, stack):
    seconds = options.before + options.outage + options.after
    flags = {
        "url": f"http://{GATEWAY}",
        "model": MODEL,
        "key": KEY,
        "rate": options.rate,
        "duration": f"{seconds}s",
        "concurrency": 4_000,
        "stream-share": 0.5,
        "heads": 200,
        "head-tokens": 1_200,
        "tail-tokens": 20,
        "max-tokens": 24,
        "record": directory / "answers.jsonl",
    }
    command = [str(emberway), "load", "--json", "--no-progress", *(f"--{name}={value}" for name, value in flags.items())]
    with open(directory / "load.log", "wb") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
    stack.callback(end, process)
    time.sleep(options.before)
    lost_at = time.time()
    drop(REGIONS[LOST])
    say(f"packets of {LOST} are dropped for {options.outage} s")
    time.sleep(options.outage)
    let_through()
    back_at = time.time()
    say(f"packets of {LOST} go through again")
    out, _ = process.communicate(timeout=options.after + 120)
    if process.returncode not in (0, 1):
        raise Invalid(f"emberway load ended with {process.returncode}: {tail(directory / 'load.log')}")
    report = json.loads(out)
    if report["unsent"]:
        raise Invalid(f"{report['unsent']} requests were not sent in time: the machine is too slow for this load")
    return report, lost_at, back_at


def latencies(answers, lost_at, back_at):
    """Phase, requests, p50, p99 and most of whole latencies, from when a request was due."""
    phases = [
        ("before", 0, lost_at),
        (f"first {DETECTION_S} s of the outage", lost_at, lost_at + DETECTION_S),
        ("rest of the outage", lost_at + DETECTION_S, back_at),
        ("after", back_at, float("inf")),
    ]
    figures = []
    for name, begin, until in phases:
        begun = lambda answer: answer["finished_at_ms"] / 1e3 - answer["latency_ms"] / 1e3  # noqa: E731
        took = sorted(answer["latency_ms"] for answer in answers if answer["ok"] and begin <= begun(answer) < until)
        if not took:
            raise Invalid(f"no request in phase `{name}`")
        figures.append((name, len(took), quantile(took, 0.5), quantile(took, 0.99), took[-1]))
    return figures


def timeline(rows, moments):
    """Answers by region around some moments: each second, or every two."""
    lines = []
    for name, moment, span in moments:
        for second in range(-2, span, 1 if span < 10 else 2):
            begin, until = (moment + second) * 1e3, (moment + second + (1 if span < 10 else 2)) * 1e3
            here = [region for started, region, _attempts, _outcome in rows if begin <= started < until]
            lines.append([f"{name} {second:+d} s", *(str(here.count(region)) for region in REGIONS)])
    return table(["second", *REGIONS], lines)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release = pathlib.Path(__file__).resolve().parents[2] / "target/release/emberway"
    parser.add_argument("--emberway", type=pathlib.Path, default=release, help="the program")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second")
    parser.add_argument("--before", type=int, default=15, help="seconds before the outage")
    parser.add_argument("--outage", type=int, default=60, help="seconds of it")
    parser.add_argument("--after", type=int, default=60, help="seconds after it")
    parser.add_argument("--keep", action="store_true", help="keep the directory of logs, configurations and records")
    return parser.parse_args()


def main():
    options = parse()
    directory = None
    try:
        if INSIDE not in os.environ:
            enter_namespace()
        directory = pathlib.Path(tempfile.mkdtemp(prefix="bench-outage-"))
        report, answers, rows, lost_at, back_at = run(options, directory)
    except (Invalid, subprocess.CalledProcessError) as problem:
        say(f"invalid: {problem}")
        return 2
    finally:
        if directory and options.keep:
            say(f"kept {directory}")
        elif directory:
            shutil.rmtree(directory, ignore_errors=True)
    figures = latencies(answers, lost_at, back_at)
    before_p99 = figures[0][3]
    failed = [answer for answer in answers if not answer["ok"]]
    cut = [answer for answer in failed if answer["begun"]]
    head = ["phase", "requests", "p50 ms", "p99 ms", "most ms", "added p99 ms"]
    lines = [
        [name, str(count), f"{p50:.0f}", f"{p99:.0f}", f"{most:.0f}", f"{p99 - before_p99:+.0f}"]
        for name, count, p50, p99, most in figures
    ]
    print("\n".join(table(head, lines)))
    again = sum(1 for _started, _region, attempts, _outcome in rows if attempts > 1)
    print(f"\n{len(answers)} requests, {len(failed) - len(cut)} failed, {len(cut)} streams cut after they had begun, {again} asked more than once")
    if failed:
        print(f"failures: {json.dumps(report['failures'])}")
    print()
    print("\n".join(timeline(rows, [("lost", lost_at, 8), ("back", back_at, options.after)])))
    return 1 if len(failed) > len(cut) else 0


if __name__ == "__main__":
    sys.exit(main())
