#!/usr/bin/env python3
"""What does the gateway do when it is sent more than it can answer?

A simulator that answers at once, the gateway on one core, and load from the other. First a closed loop finds what the
gateway can answer: the peak. Then requests come at one, two and five times that rate, whatever the answers. Printed for
each: what came, what was answered and as which part of the peak, how long answers and refusals took (from when a request
was due), and the gateway's memory.

    cargo build --release --bin emberway
    python3 benches/overload/run.py --emberway target/release/emberway

Capacity may also be a number of places instead of the processor's time, as it is where answers take seconds: with `--places 200`
that many requests run at one time (`limits.running_requests`), each for about a second, and what comes beyond is refused. In the
first form refusing takes time from answering; in this one it must not.

Load and simulator cost more than the gateway, so on two cores they are full before it is. `--share 0.2` leaves the gateway that
part of its core (a control group; needs root), which is as if the core were slower. Needs Linux and taskset.

It exits with 1 when a bound is missed: 90 % of the peak at each rate, 50 ms for 99 of 100 refusals, nothing but whole answers
and 503. With 2 when the measurement itself is not valid.
"""

import argparse
import contextlib
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from programs import Invalid, Server, end, free_port, quantile, say, table, tail  # noqa: E402

KEY, UPSTREAM_KEY = "bench-key-0123456789abcdef", "upstream-key-0123456789abcdef"
MODEL = "bot"
GOODPUT_LEAST = 0.9
REFUSAL_P99_MS = 50
# With places, answers last about a second: prefill, then up to 48 tokens at this rate.
DECODE_TOKENS_PER_S = 60
# The share of a core is granted anew so often: a longer time without any would itself look like an overload. No kernel grants less than 1 ms.
PERIOD_US = 10_000


def scenario(port, places):
    return {
        "seed": 1,
        "engine": {"time_scale": 1, "decode_tokens_per_s": DECODE_TOKENS_PER_S} if places else {"time_scale": 0},
        "limits": {"enabled": False},
        "accounts": [
            {
                "name": "one",
                "region": "one",
                "address": f"127.0.0.1:{port}",
                "api_keys": [UPSTREAM_KEY],
                "deployments": [{"name": "ft", "model": "gpt-4.1-mini-2025-04-14.ft-1", "capacity": 1_000_000}],
            }
        ],
    }


def configuration(options, directory, upstream, listener, admin):
    limits = {"max_delay": options.max_delay} if options.max_delay else {}
    if options.places:
        limits["running_requests"] = options.places
    return {
        "listeners": [{"address": f"127.0.0.1:{listener}"}],
        "admin": {"address": f"127.0.0.1:{admin}"},
        "usage": {"path": str(directory / "usage.db")},
        "log": {"filter": "warn"},
        "shutdown": {"delay": "0s", "drain": "5s"},
        "limits": limits,
        "clients": [{"name": "bench", "keys": ["${env:BENCH_KEY}"]}],
        "resources": [
            {
                "name": "one",
                "region": "one",
                "endpoint": f"http://127.0.0.1:{upstream}",
                "credential": {"api_key": "${env:UPSTREAM_KEY}"},
                "deployments": [{"name": "ft", "sku": "Standard", "capacity": 1_000_000}],
            }
        ],
        "pools": [{"name": "bot", "tiers": [["one/ft"]]}],
        "routes": [{"name": MODEL, "pool": "bot"}],
    }


@contextlib.contextmanager
def part_of_a_core(share, pid):
    """Bounds a process to a part of a core's time, in a control group of either version."""
    if share >= 1:
        yield
        return
    first = pathlib.Path("/sys/fs/cgroup/cpu")
    root = first if first.is_dir() else pathlib.Path("/sys/fs/cgroup")
    group = root / f"emberway-bench-{pid}"
    quota = int(PERIOD_US * share)
    try:
        group.mkdir()
    except OSError as problem:
        raise Invalid(f"no control group for --share: {problem}") from problem
    try:
        if root == first:
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            (group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
        (group / "cgroup.procs").write_text(str(pid))
        yield
    except OSError as problem:
        raise Invalid(f"the control group does not take --share: {problem}") from problem
    finally:
        # Empty by now or in a moment: the process ends before or with this.
        for _ in range(100):
            with contextlib.suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.1)


def memory_mib(pid):
    """What the process holds, and the most it has held."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return [int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM")]


class World:
    def __init__(self, options, directory, listener):
        self.options, self.directory, self.listener = options, directory, listener

    def load(self, name, seconds, flags):
        record = self.directory / f"{name}.jsonl"
        flags = {
            "url": f"http://127.0.0.1:{self.listener}",
            "model": MODEL,
            "key": KEY,
            "duration": f"{seconds}s",
            "stream-share": self.options.stream_share,
            "heads": 20,
            "head-tokens": self.options.head_tokens,
            "tail-tokens": 20,
            "max-tokens": self.options.max_tokens,
            "timeout": "30s",
            "record": record,
            **flags,
        }
        flags = [f"--{name}={value}" for name, value in flags.items()]
        command = ["taskset", "-c", self.options.load_core, self.options.emberway, "load", "--json", "--no-progress", *flags]
        with open(self.directory / "load.log", "ab") as log:
            process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            out, _ = process.communicate(timeout=seconds + 120)
        finally:
            end(process)
        if process.returncode not in (0, 1):
            raise Invalid(f"emberway load ended with {process.returncode}: {tail(self.directory / 'load.log')}")
        answers = [json.loads(line) for line in record.read_text().splitlines()]
        record.unlink()
        return json.loads(out), answers


def figures(report, answers, seconds):
    served = sorted(answer["latency_ms"] for answer in answers if answer["ok"])
    shed = sorted(answer["latency_ms"] for answer in answers if answer["status"] == 503)
    # What ends after the last request was due is late, and no part of the rate.
    until = min(answer["finished_at_ms"] - answer["latency_ms"] for answer in answers) + seconds * 1e3
    in_time = sum(1 for answer in answers if answer["ok"] and answer["finished_at_ms"] <= until)
    return {
        "came": len(answers) / seconds,
        "unsent": report["unsent"],
        "goodput": in_time / seconds,
        "served": served,
        "shed": shed,
        "other": len(answers) - len(served) - len(shed),
    }


def run(options, directory):
    upstream, listener, admin = free_port(), free_port(), free_port()
    (directory / "scenario.yaml").write_text(json.dumps(scenario(upstream, options.places)))  # JSON is YAML.
    config = directory / "config"
    config.mkdir()
    written = configuration(options, directory, upstream, listener, admin)
    (config / "emberway.yaml").write_text(json.dumps(written))
    pinned = lambda core, *command: ["taskset", "-c", core, options.emberway, *command]  # noqa: E731
    results = []
    with contextlib.ExitStack() as stack:
        fleet = Server("simulator", pinned(options.load_core, "simulate", "--scenario", directory / "scenario.yaml"), directory)
        stack.callback(fleet.stop)
        keys = {"BENCH_KEY": KEY, "UPSTREAM_KEY": UPSTREAM_KEY}
        command = pinned(options.core, "run", "--config", config / "emberway.yaml")
        gateway = Server("gateway", command, directory, keys)
        stack.enter_context(part_of_a_core(options.share, gateway.process.pid))
        stack.callback(gateway.stop)
        gateway.wait_ready(f"http://127.0.0.1:{admin}/readyz")
        world = World(options, directory, listener)
        world.load("warm", 3, {"concurrency": 16})
        report, answers = world.load("closed", options.seconds, {"concurrency": options.places or options.closed})
        closed = figures(report, answers, options.seconds)
        peak = closed["goodput"]
        results.append(("closed loop", closed, memory_mib(gateway.process.pid)))
        say(f"peak: {peak:.0f} requests a second")
        for times in options.times:
            flags = {"rate": f"{peak * times:.1f}", "concurrency": options.connections}
            report, answers = world.load(f"open-{times:g}", options.seconds, flags)
            results.append((f"{times:g} × the peak", figures(report, answers, options.seconds), memory_mib(gateway.process.pid)))
            say(f"{times:g} × done")
            time.sleep(options.pause)
    return peak, results


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release = pathlib.Path(__file__).resolve().parents[2] / "target/release/emberway"
    parser.add_argument("--emberway", type=pathlib.Path, default=release, help="the program")
    parser.add_argument("--core", default="0", help="the gateway's core")
    parser.add_argument("--load-core", default="1", help="core of load and simulator")
    parser.add_argument("--share", type=float, default=1.0, help="part of its core that the gateway gets")
    parser.add_argument("--seconds", type=int, default=20, help="length of each phase")
    parser.add_argument("--pause", type=int, default=12, help="seconds between phases, for shedding to end")
    parser.add_argument("--places", type=int, default=0, help="requests that run at one time, each for about a second; 0 for no such limit")
    parser.add_argument("--closed", type=int, default=32, help="requests in flight of the closed loop")
    parser.add_argument("--connections", type=int, default=2_000, help="requests in flight at most in the open loops")
    parser.add_argument("--times", type=float, nargs="+", default=[1, 2, 5], help="rates, as multiples of the peak")
    parser.add_argument("--head-tokens", type=int, default=1_200, help="tokens that prompts have in common")
    parser.add_argument("--max-tokens", type=int, default=16, help="longest answer")
    parser.add_argument("--stream-share", type=float, default=0.2, help="share of streams")
    parser.add_argument("--max-delay", help="`limits.max_delay` in place of its default")
    parser.add_argument("--keep", action="store_true", help="keep the directory of logs and configurations")
    return parser.parse_args()


def show(peak, results):
    """The table, and what bounds were missed."""
    head = ["load", "came/s", "answered/s", "of the peak", "p50 ms", "p99 ms", "refused", "p50 ms", "p99 ms", "failed", "not sent", "RSS MiB", "most MiB"]
    lines, missed = [], []
    for name, of, (now, most) in results:
        part = of["goodput"] / peak
        times = lambda ordered: [f"{quantile(ordered, q):.0f}" if ordered else "-" for q in (0.5, 0.99)]  # noqa: E731
        row = [name, f"{of['came']:.0f}", f"{of['goodput']:.0f}", f"{part:.0%}", *times(of["served"]), str(len(of["shed"]))]
        lines.append([*row, *times(of["shed"]), str(of["other"]), str(of["unsent"]), f"{now:.0f}", f"{most:.0f}"])
        if part < GOODPUT_LEAST:
            missed.append(f"{name}: {part:.0%} of the peak, not {GOODPUT_LEAST:.0%}")
        if of["shed"] and quantile(of["shed"], 0.99) > REFUSAL_P99_MS:
            missed.append(f"{name}: 99 of 100 refusals within {quantile(of['shed'], 0.99):.0f} ms, not {REFUSAL_P99_MS}")
        if of["other"]:
            missed.append(f"{name}: {of['other']} requests failed otherwise than by 503")
    print("\n".join(table(head, lines)))
    return missed


def main():
    options = parse()
    options.emberway = options.emberway.resolve()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bench-overload-"))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    try:
        if not options.emberway.exists():
            raise Invalid(f"no `{options.emberway}`; cargo build --release --bin emberway")
        peak, results = run(options, directory)
    except (Invalid, subprocess.SubprocessError) as problem:
        say(f"invalid: {problem}")
        return 2
    finally:
        if options.keep:
            say(f"kept {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    missed = show(peak, results)
    for bound in missed:
        print(f"missed: {bound}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
