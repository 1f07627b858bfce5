#!/usr/bin/env python3
"""What do clients notice when somebody deletes a deployment behind the gateway's back, and when does it serve again?

A simulated fleet of two regions with its control plane, the gateway in front of it, and requests all the time, a third of
them streams. After a while the first region's deployment is deleted by its API, as by a colleague or a script. The gateway
is told nothing. Printed: what the gateway knew and did, second by second, who answered, and how many requests failed.

    cargo build --release --bin emberway
    python3 benches/phoenix/run.py --emberway target/release/emberway

It takes some eight minutes: what is new at Azure is believed to answer five minutes after it was made. It exits with 1 when
a request failed or the deployment did not come back, with 2 when the measurement itself is not valid.
"""

import argparse
import contextlib
import json
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from programs import Invalid, Server, end, fetch, free_port, say, table, tail  # noqa: E402

ACCOUNTS = {"east": "northcentralus", "west": "swedencentral"}
MODEL = "gpt-4.1-mini-2025-04-14.ft-0123456789abcdef0123456789abcdef"
SUBSCRIPTION, GROUP = "11111111-1111-4111-8111-111111111111", "emberway-sim"
KEYS = {"BENCH_KEY": "bench-key-0123456789abcdef", "UPSTREAM_KEY": "upstream-key-0123456789abcdef", "CONTROL": "sim-arm-token"}
LOST = "east/ft"


class Ports:
    def __init__(self):
        self.gateway, self.admin, self.arm, *self.accounts = (free_port() for _ in range(3 + len(ACCOUNTS)))


def scenario(ports):
    model = {"model": MODEL}
    deployment = {"name": "ft", "model": MODEL, "sku": "Standard", "capacity": 1_000, "age_days": 3}
    return {
        "seed": 1,
        "engine": {"decode_tokens_per_s": 400},
        "limits": {"enabled": False},
        "arm": {
            "address": f"127.0.0.1:{ports.arm}",
            "durations": {"create_s": 30, "delete_s": 2, "propagation_s": 45},
        },
        "accounts": [
            {
                "name": name,
                "region": region,
                "address": f"127.0.0.1:{port}",
                "api_keys": [KEYS["UPSTREAM_KEY"]],
                "fine_tuned_models": [model],
                "deployments": [deployment],
            }
            for (name, region), port in zip(ACCOUNTS.items(), ports.accounts)
        ],
    }


def configuration(ports, directory):
    deployment = {
        "name": "ft",
        "sku": "Standard",
        "capacity": 1_000,
        "fine_tuned_model": MODEL,
        "inactivity": {"policy": "keep"},
    }
    return {
        "listeners": [{"address": f"127.0.0.1:{ports.gateway}"}],
        "admin": {"address": f"127.0.0.1:{ports.admin}"},
        "usage": {"path": str(directory / "usage.db")},
        "shutdown": {"delay": "0s"},
        "azure": {
            "subscription": SUBSCRIPTION,
            "resource_group": GROUP,
            "management": f"http://127.0.0.1:{ports.arm}",
            "credential": {"token": "${env:CONTROL}"},
        },
        "clients": [{"name": "bench", "keys": ["${env:BENCH_KEY}"]}],
        "resources": [
            {
                "name": name,
                "region": region,
                "account": name,
                "endpoint": f"http://127.0.0.1:{port}",
                "credential": {"api_key": "${env:UPSTREAM_KEY}"},
                "deployments": [deployment],
            }
            for (name, region), port in zip(ACCOUNTS.items(), ports.accounts)
        ],
        "pools": [{"name": "bot", "tiers": [["east/ft"], ["west/ft"]]}],
        "routes": [{"name": "bot", "pool": "bot"}],
    }


def delete(ports):
    """Deletes the deployment as anyone with the right may."""
    account, name = LOST.split("/")
    url = (
        f"http://127.0.0.1:{ports.arm}/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}/providers/"
        f"Microsoft.CognitiveServices/accounts/{account}/deployments/{name}?api-version=2024-10-01"
    )
    request = urllib.request.Request(url, method="DELETE", headers={"Authorization": f"Bearer {KEYS['CONTROL']}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        if answer.status not in (200, 202):
            raise Invalid(f"the control plane answered {answer.status}")


def standing(ports):
    """What the gateway says of the deployment: why it gets no requests, and how far rebuilding is."""
    status = json.loads(fetch(f"http://127.0.0.1:{ports.admin}/status"))
    shown = next(one for one in status["deployments"] if one["name"] == LOST)
    care = shown["care"] or {}
    return shown["absent"] or "in routing", care.get("state", "not known yet")


def run(options, directory):
    emberway, ports = options.emberway.resolve(), Ports()
    if not emberway.exists():
        raise Invalid(f"no `{options.emberway}`; cargo build --release --bin emberway")
    (directory / "scenario.yaml").write_text(json.dumps(scenario(ports)))  # JSON is YAML.
    config = directory / "emberway.yaml"
    config.write_text(json.dumps(configuration(ports, directory)))
    with contextlib.ExitStack() as stack:
        fleet = Server("simulator", [emberway, "simulate", "--scenario", directory / "scenario.yaml"], directory)
        stack.callback(fleet.stop)
        gateway = Server("gateway", [emberway, "run", "--config", config], directory, KEYS)
        stack.callback(gateway.stop)
        gateway.wait_ready(f"http://127.0.0.1:{ports.admin}/readyz")
        seconds = options.before + options.most
        flags = {
            "url": f"http://127.0.0.1:{ports.gateway}",
            "model": "bot",
            "key": KEYS["BENCH_KEY"],
            "rate": options.rate,
            "duration": f"{seconds}s",
            "concurrency": 1_000,
            "stream-share": 0.33,
            "heads": 50,
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
        deleted_at, seen = time.time(), []
        delete(ports)
        say(f"{LOST} is deleted behind the gateway's back")
        while process.poll() is None:
            now = standing(ports)
            if not seen or seen[-1][1:] != now:
                seen.append((time.time() - deleted_at, *now))
                say(f"{seen[-1][0]:6.1f} s  {now[0]}, {now[1]}")
            time.sleep(0.5)
        out, _ = process.communicate(timeout=60)
        if process.returncode not in (0, 1):
            raise Invalid(f"emberway load ended with {process.returncode}: {tail(directory / 'load.log')}")
        report = json.loads(out)
        if report["unsent"]:
            raise Invalid(f"{report['unsent']} requests were not sent in time: the machine is too slow for this load")
    with contextlib.closing(sqlite3.connect(directory / "usage.db")) as store:
        rows = store.execute("SELECT started_at_ms, deployment, attempts FROM usage WHERE client = 'bench'").fetchall()
        writes = store.execute("SELECT method, target FROM audit WHERE phase = 'sent'").fetchall()
    return report, rows, writes, deleted_at, seen


def answered(rows, deleted_at, seen):
    """Who answered in each stretch between two changes of what the gateway knew."""
    moments = [(-1e9, "before", "")] + [(at if at > 1 else 0.0, absent, state) for at, absent, state in seen]
    lines = []
    for position, (at, absent, state) in enumerate(moments):
        until = moments[position + 1][0] if position + 1 < len(moments) else 1e9
        here = [row for row in rows if at <= row[0] / 1e3 - deleted_at < until]
        counts = [sum(1 for row in here if row[1] == name) for name in ("east/ft", "west/ft")]
        again = sum(1 for row in here if row[2] > 1)
        since = "" if at < 0 else f"{at:.1f} s"
        lines.append([since, absent, state, *map(str, counts), str(again)])
    return lines


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release = pathlib.Path(__file__).resolve().parents[2] / "target/release/emberway"
    parser.add_argument("--emberway", type=pathlib.Path, default=release, help="the program")
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--before", type=int, default=15, help="seconds before the deletion")
    parser.add_argument("--most", type=int, default=450, help="seconds of load after it")
    parser.add_argument("--keep", action="store_true", help="keep the directory of logs, configurations and records")
    return parser.parse_args()


def main():
    options = parse()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bench-phoenix-"))
    try:
        report, rows, writes, deleted_at, seen = run(options, directory)
    except (Invalid, subprocess.CalledProcessError) as problem:
        say(f"invalid: {problem}")
        return 2
    finally:
        if options.keep:
            say(f"kept {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    lines = answered(rows, deleted_at, seen)
    print("\n".join(table(["since", LOST, "rebuilding", "by east/ft", "by west/ft", "asked twice"], lines)))
    failures = sum(failure["count"] for failure in report["failures"])
    print(f"\n{len(rows)} requests, {failures} failed; writes of the gateway to Azure: {len(writes)}")
    for method, target in writes:
        print(f"  {method} {target}")
    is_back = seen[-1][1:] == ("in routing", "there") and int(lines[-1][3]) > 0
    if not is_back:
        print(f"{LOST} did not come back")
    return 0 if is_back and not failures else 1


if __name__ == "__main__":
    sys.exit(main())
