#!/usr/bin/env python3
"""Does placement find prompts cached in a running fleet, with two gateways that do not talk?

A simulated fleet of eight deployments in four regions, whose caches forget after ten idle seconds; two gateways with
one configuration in front of it; a load process for each, with the same 40 heads of 4,000 tokens and conversations of
its own. Once with nested placement and once by turns, each on a fleet that has cached nothing yet. Then the traces
that the gateways wrote are played through `emberway replay`, which shares no provider model with the simulator, and
what it predicts is held against what the answers reported.

    cargo build --release --bin emberway
    python3 benches/placement/live.py --emberway target/release/emberway

A head is asked for often enough for one cache to keep it, and too seldom for eight. It exits with 1 when a bound is
missed, with 2 when the measurement itself is not valid: a request failed or was not sent in time, or a program ended.
"""

import argparse
import contextlib
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from programs import Invalid, Server, end, free_port, quantile, say, table, tail  # noqa: E402

POLICIES = ("nested", "round_robin")
# Parts of the load that each gateway gets. Unequal, since two that take turns in step would be no two.
GATEWAYS = (0.4, 0.6)
REGIONS = ("swedencentral", "westeurope", "eastus2", "northcentralus")
DEPLOYMENTS = ("ft-1", "ft-2")  # of each region
# Far more than is sent, so that nothing is passed over: 10,000,000 tokens a minute each.
CAPACITY = 10_000
MACHINES, REQUESTS_PER_MINUTE = 4, 15
# Answers last 0.6 to 2.4 s, so that the time from turn to turn varies by more than a round of eight. At the simulator's
# own 90 it hardly does, and taking turns brings every conversation, or none, back to where it was.
DECODE_TOKENS_PER_S = 40
CACHE_LIFE_S = 10
HEADS, HEAD_TOKENS, TAIL_TOKENS, TURNS, ANSWER_TOKENS = 40, 4_000, 150, 3, 96
# In flight at most, of each load process; also its conversations side by side, so it sets the time from turn to turn.
CONCURRENCY = 21
# Conversations of the second process count from here: beyond all of the first.
CONVERSATIONS_MAX = 1_000_000
# Replay does not know which gateway a request came to, so it draws; the mean of so many draws is what it says.
REPLAY_SEEDS = 8
MODEL = "bot"
KEY, UPSTREAM_KEY = "bench-key-0123456789abcdef", "upstream-key-0123456789abcdef"
TRACE_KEY = (
    "trace-key-0123456789abcdef0123456789abcdef"  # The same for all gateways, so that their traces can be joined.
)
# The bounds that the project holds itself to.
SHARE_RATIO_MIN = 1.5
FIRST_TOKEN_RATIO_MAX = 1.0
PREDICTION_POINTS_MAX = 3.0


class Live:
    """One fleet, its gateways and its load, for each policy in turn."""

    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        self.emberway = options.emberway.resolve()
        if not self.emberway.exists():
            raise Invalid(f"no `{options.emberway}`; cargo build --release --bin emberway")

    def run(self, policy):
        """What the answers reported under a policy, and the trace of what was asked."""
        directory = self.directory / policy
        directory.mkdir()
        with contextlib.ExitStack() as stack:
            fleet = self.start_fleet(directory, stack)
            gateways = [self.start_gateway(number, fleet, policy, directory, stack) for number in range(len(GATEWAYS))]
            answers = self.load(gateways, directory)
        # The gateways have ended, so their traces are whole.
        return figures(answers), joined_trace(directory, len(answers))

    def start_fleet(self, directory, stack):
        scenario = directory / "scenario.yaml"
        scenario.write_text(json.dumps(scenario_of(self.options.seed)))  # JSON is YAML.
        command = [self.emberway, "simulate", "--scenario", scenario, "--json"]
        server = Server("simulator", command, directory, stdout=subprocess.PIPE)
        stack.callback(server.stop)
        line = server.process.stdout.readline()
        if not line:
            raise Invalid(f"the simulator says nothing:\n{tail(server.log)}")
        return json.loads(line)

    def start_gateway(self, number, fleet, policy, directory, stack):
        home = directory / f"gateway-{number}"
        home.mkdir()
        address, admin = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        config = home / "emberway.yaml"
        # The gateway watches its configuration's directory; the usage store's writes are not to wake it.
        usage = directory / f"usage-{number}.db"
        trace = directory / trace_name(number)
        config.write_text(json.dumps(configuration(address, admin, usage, trace, fleet, policy)))
        command = [self.emberway, "run", "--config", config]
        keys = {"BENCH_KEY": KEY, "UPSTREAM_KEY": UPSTREAM_KEY, "TRACE_KEY": TRACE_KEY}
        server = Server(f"gateway-{number}", command, directory, keys)
        stack.callback(server.stop)
        server.wait_ready(f"http://{admin}/readyz")
        return f"http://{address}"

    def load(self, gateways, directory):
        """Sends to all gateways at once; each answer, as the load processes recorded it."""
        records = [directory / f"answers-{number}.jsonl" for number in range(len(gateways))]
        with contextlib.ExitStack() as stack:
            loads = []
            for number, (url, record) in enumerate(zip(gateways, records, strict=True)):
                loads.append(
                    subprocess.Popen(
                        self.load_command(number, url, record),
                        stdout=subprocess.PIPE,
                        stderr=subprocess.PIPE,
                        text=True,
                    )
                )
                stack.callback(end, loads[-1])
            for load in loads:
                try:
                    out, errors = load.communicate(timeout=self.options.seconds + 60)
                except subprocess.TimeoutExpired as problem:
                    raise Invalid(f"emberway load does not end: {problem}") from problem
                if load.returncode not in (0, 1):
                    raise Invalid(f"emberway load ended with {load.returncode}: {errors}")
                report = json.loads(out)
                if report["failures"] or report["unsent"]:
                    raise Invalid(f"requests failed: {report['failures']}; {report['unsent']} were not sent in time")
        answers = [json.loads(line) for record in records for line in record.read_text().splitlines()]
        if not answers:
            raise Invalid("nothing was sent")
        return answers

    def load_command(self, number, url, record):
        options = self.options
        flags = {
            "url": url,
            "model": MODEL,
            "key": KEY,
            "rate": options.rate * GATEWAYS[number],
            "duration": f"{options.seconds}s",
            "concurrency": CONCURRENCY,
            "stream-share": 1,
            "heads": HEADS,
            "head-tokens": HEAD_TOKENS,
            "tail-tokens": TAIL_TOKENS,
            "turns": TURNS,
            "max-tokens": ANSWER_TOKENS,
            "seed": options.seed,
            "first-conversation": number * CONVERSATIONS_MAX,
            "record": record,
        }
        command = [str(self.emberway), "load", "--json", "--no-progress"]
        return command + [f"--{name}={value}" for name, value in flags.items()]

    def predicted(self, trace, policy):
        """The cached share that replay finds for the trace: the mean over which gateway gets which request."""
        return statistics.fmean(self.replayed(trace, policy, seed) for seed in range(REPLAY_SEEDS))

    def replayed(self, trace, policy, seed):
        flags = {
            "policy": policy,
            "replicas": len(GATEWAYS),
            "provider": "hosted",
            "machines": MACHINES,
            "requests-per-minute": REQUESTS_PER_MINUTE,
            "idle": f"{CACHE_LIFE_S}s",
            "deployments": len(REGIONS) * len(DEPLOYMENTS),
            "regions": len(REGIONS),
            "limit-factor": "none",
            "seed": seed,
        }
        command = [str(self.emberway), "replay", str(trace), "--json", "--no-progress"]
        command += [f"--{name}={value}" for name, value in flags.items()]
        run = subprocess.run(command, capture_output=True, text=True, timeout=120)
        if run.returncode:
            raise Invalid(f"emberway replay ended with {run.returncode}: {run.stderr}")
        rows = [json.loads(line) for line in run.stdout.splitlines()]
        if len(rows) != 1:
            raise Invalid(f"emberway replay gave {len(rows)} rows instead of one")
        return rows[0]["hit"]


def scenario_of(seed):
    """The fleet. Its machines are the simulator's defaults, written out since replay must know them."""
    deployments = [
        {"name": name, "model": "gpt-4.1-mini-2025-04-14.ft-1", "capacity": CAPACITY} for name in DEPLOYMENTS
    ]
    return {
        "seed": seed,
        "engine": {"decode_tokens_per_s": DECODE_TOKENS_PER_S},
        "prompt_cache": {
            "machines": MACHINES,
            "requests_per_minute_per_prefix": REQUESTS_PER_MINUTE,
            "idle_expiry_s": CACHE_LIFE_S,
        },
        "limits": {"enabled": False},
        "accounts": [
            {"name": region, "region": region, "api_keys": [UPSTREAM_KEY], "deployments": deployments}
            for region in REGIONS
        ],
    }


def configuration(address, admin, usage, trace, fleet, policy):
    """A gateway's configuration; all gateways have the same but for their addresses and files."""
    resources = [
        {
            "name": account["name"],
            "region": account["region"],
            "endpoint": account["url"],
            "credential": {"api_key": "${env:UPSTREAM_KEY}"},
            "deployments": [{"name": name, "sku": "Standard", "capacity": CAPACITY} for name in DEPLOYMENTS],
        }
        for account in fleet["accounts"]
    ]
    members = [f"{resource['name']}/{name}" for resource in resources for name in DEPLOYMENTS]
    return {
        "listeners": [{"address": address}],
        "admin": {"address": admin},
        "usage": {"path": str(usage)},
        "trace": {"path": str(trace), "share": 1, "key": "${env:TRACE_KEY}"},
        "shutdown": {"delay": "0s"},
        "replicas": len(GATEWAYS),
        "defaults": {"policy": policy},
        "clients": [{"name": "bench", "keys": ["${env:BENCH_KEY}"], "debug_headers": True}],
        "resources": resources,
        "pools": [{"name": "bot", "tiers": [members]}],
        "routes": [{"name": MODEL, "pool": "bot"}],
    }


def trace_name(number):
    return f"trace-{number}.jsonl"


def joined_trace(directory, requests):
    """What the gateways wrote down of what they were asked, in one file; replay puts it in order."""
    lines = []
    for number in range(len(GATEWAYS)):
        lines += (directory / trace_name(number)).read_text().splitlines()
    if len(lines) != requests:
        raise Invalid(f"the gateways traced {len(lines)} of {requests} requests")
    joined = directory / "trace.jsonl"
    joined.write_text("\n".join(lines) + "\n")
    return joined


def figures(answers):
    """Of all answers, whichever gateway they came by."""
    prompt = sum(answer["tokens"]["prompt"] for answer in answers)
    cached = sum(answer["tokens"]["cached"] for answer in answers)
    first_token = sorted(answer["first_token_ms"] for answer in answers)
    return {
        "requests": len(answers),
        "cached_share": cached / prompt,
        "first_token_p50_ms": quantile(first_token, 0.5),
        "first_token_p95_ms": quantile(first_token, 0.95),
    }


def bounds_of(results):
    """(What, its value, the bound, whether it holds, how it is written)."""
    nested, turns = results["nested"], results["round_robin"]
    share = nested["cached_share"] / max(turns["cached_share"], 1e-9)
    first_token = nested["first_token_p50_ms"] / turns["first_token_p50_ms"]
    bounds = [
        ("cached share, nested to round robin", share, SHARE_RATIO_MIN, share >= SHARE_RATIO_MIN, ">= {}"),
        (
            "median first token, nested to round robin",
            first_token,
            FIRST_TOKEN_RATIO_MAX,
            first_token < FIRST_TOKEN_RATIO_MAX,
            "< {}",
        ),
    ]
    # Taking turns has no such bound: where a request goes then is chance, and two runs differ by as much.
    points = 100 * abs(nested["cached_share"] - nested["predicted_share"])
    within = points <= PREDICTION_POINTS_MAX
    bounds.append(("replay beside live, nested, points", points, PREDICTION_POINTS_MAX, within, "<= {}"))
    return bounds


def report(results, bounds):
    """Lines to print."""
    head = ["policy", "requests", "cached", "replay says", "first token p50 ms", "p95 ms"]
    rows = [
        [
            policy,
            str(result["requests"]),
            f"{100 * result['cached_share']:.1f} %",
            f"{100 * result['predicted_share']:.1f} %",
            f"{result['first_token_p50_ms']:.0f}",
            f"{result['first_token_p95_ms']:.0f}",
        ]
        for policy, result in results.items()
    ]
    cells = [
        [what, f"{value:.2f}", shown.format(limit), "met" if met else "MISSED"]
        for what, value, limit, met, shown in bounds
    ]
    return table(head, rows) + [""] + table(["bound", "is", "must be", ""], cells)


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release = pathlib.Path(__file__).resolve().parents[2] / "target/release/emberway"
    parser.add_argument("--emberway", type=pathlib.Path, default=release, help="the program")
    parser.add_argument("--seconds", type=int, default=45, help="of load for each policy, 20 to 60")
    parser.add_argument("--rate", type=float, default=12.0, help="requests a second of all load together, 1 to 50")
    parser.add_argument("--seed", type=int, default=1, help="of prompts and of the fleet's chance")
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures to this file")
    parser.add_argument("--keep", action="store_true", help="keep the directory of logs, configurations and traces")
    options = parser.parse_args()
    if not 20 <= options.seconds <= 60:
        parser.error("--seconds is 20 to 60")
    if not 1 <= options.rate <= 50:
        parser.error("--rate is 1 to 50")
    return options


def main():
    options = parse()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bench-placement-"))
    results = {}
    try:
        live = Live(options, directory)
        for policy in POLICIES:
            say(f"{policy}: {options.seconds} s of {options.rate:g} requests a second")
            result, trace = live.run(policy)
            results[policy] = {**result, "predicted_share": live.predicted(trace, policy)}
    except Invalid as problem:
        say(f"invalid: {problem}")
        return 2
    finally:
        if options.keep:
            say(f"kept {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    bounds = bounds_of(results)
    print("\n".join(report(results, bounds)))
    if options.json:
        limits = [
            {"bound": what, "value": value, "limit": limit, "met": met} for what, value, limit, met, _shown in bounds
        ]
        options.json.write_text(json.dumps({"policies": results, "bounds": limits}, indent=1) + "\n")
    return 0 if all(met for _what, _value, _limit, met, _shown in bounds) else 1


if __name__ == "__main__":
    sys.exit(main())
