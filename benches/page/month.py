#!/usr/bin/env python3
"""How long do questions about a month take that had 1,000 requests a second?

A gateway is run under load for half a minute; the rows of ten seconds that it wrote, with their histograms, are then laid out as the hours of
30 days, for 3 routes, 4 clients and 6 deployments, with counts as of 1,000 requests a second. Then the gateway is asked as the page asks.

    make build-release
    python3 benches/page/month.py --emberway target/release/emberway

It exits with 1 when a question takes longer than a second, with 2 when the measurement itself is not valid.
"""

import argparse
import contextlib
import json
import pathlib
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from programs import Invalid, Server, end, fetch, free_port, say, table  # noqa: E402
from run import KEY, MODEL, REGIONS, ROOT, UPSTREAM_KEY, configuration, scenario  # noqa: E402

HOUR_MS = 3_600_000
DAYS = 30
ROUTES, CLIENTS = [f"route-{number}" for number in range(3)], [f"client-{number}" for number in range(4)]
REQUESTS_AN_HOUR = 3_600_000
MOST_MS = 1_000
# Kinds of rows, as migrations/0009_history.sql numbers them.
ALL, ROUTE, CLIENT, DEPLOYMENT, ROUTE_AND_DEPLOYMENT, ALL_THREE = range(6)


def lines(deployments):
    """What an hour has rows of: kind, route, client, deployment, and the part of all requests."""
    yield ALL, "", "", None, 1
    for route in ROUTES:
        yield ROUTE, route, "", None, 1 / len(ROUTES)
    for client in CLIENTS:
        yield CLIENT, "", client, None, 1 / len(CLIENTS)
    for deployment in deployments:
        yield DEPLOYMENT, "", "", deployment, 1 / len(deployments)
        for route in ROUTES:
            yield ROUTE_AND_DEPLOYMENT, route, "", deployment, 1 / len(deployments) / len(ROUTES)
            for client in CLIENTS:
                yield ALL_THREE, route, client, deployment, 1 / len(deployments) / len(ROUTES) / len(CLIENTS)


def scaled(value, factor):
    if isinstance(value, dict):
        return {name: scaled(part, factor) for name, part in value.items()}
    return int(value * factor) if isinstance(value, int) and not isinstance(value, bool) else value


def fill(store):
    """Lays the rows of ten seconds out as the hours of a month; how many rows that makes."""
    database = sqlite3.connect(store)
    columns = "route, region, deployment, requests, sums, ttft, total, overhead"
    by_deployment = database.execute(f"SELECT {columns} FROM history WHERE step_s = 10 AND kind = ? ORDER BY requests DESC", (DEPLOYMENT,)).fetchall()
    whole = database.execute(f"SELECT {columns} FROM history WHERE step_s = 10 AND kind = ? ORDER BY requests DESC", (ALL,)).fetchone()
    known = {}
    for row in by_deployment:
        known.setdefault((row[2], row[1]), row)
    if whole is None or len(known) < len(REGIONS) * 2:
        raise Invalid(f"the gateway wrote rows of {len(known)} deployments only")
    this_hour = int(time.time() * 1e3) // HOUR_MS * HOUR_MS
    rows = []
    for hour in range(DAYS * 24):
        start = this_hour - (DAYS * 24 - hour) * HOUR_MS
        for kind, route, client, deployment, part in lines(list(known)):
            of = known[deployment] if deployment else whole
            requests = int(REQUESTS_AN_HOUR * part)
            sums = json.dumps(scaled(json.loads(of[4]), requests / of[3]))
            name, region = deployment or ("", "")
            rows.append((3600, kind, start, route, client, name, region, requests, sums, *of[5:]))
    database.execute("DELETE FROM history")
    names = "step_s, kind, start_ms, route, client, deployment, region, requests, sums, ttft, total, overhead"
    database.executemany(f"INSERT INTO history ({names}) VALUES ({', '.join('?' * 12)})", rows)
    database.execute("UPDATE history_mark SET minute_ms = ?, hour_ms = ?", (this_hour, this_hour))
    database.commit()
    size = sum(len(blob or b"") for row in rows for blob in row[9:]) / len(rows)
    database.close()
    return len(rows), size


def ask(admin, path, times):
    now = int(time.time() * 1e3)
    # A range that is over, so that each question is the same.
    until = now // HOUR_MS * HOUR_MS
    query = urllib.parse.urlencode({"from_ms": until - DAYS * 24 * HOUR_MS, "to_ms": until})
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        answer = json.loads(fetch(f"http://127.0.0.1:{admin}/api/v1/{path}{'&' if '?' in path else '?'}{query}", timeout=60))
        took.append((time.perf_counter() - begun) * 1e3)
    return took, answer


def run(options, directory):
    ports, listener, admin = [free_port() for _ in REGIONS], free_port(), free_port()
    (directory / "scenario.yaml").write_text(json.dumps(scenario(ports)))  # JSON is YAML.
    (directory / "emberway.yaml").write_text(json.dumps(configuration(directory, ports, listener, admin)))
    keys = {"BENCH_KEY": KEY, "UPSTREAM_KEY": UPSTREAM_KEY}
    serve = [options.emberway, "run", "--config", directory / "emberway.yaml"]
    with contextlib.ExitStack() as stack:
        fleet = Server("simulator", [options.emberway, "simulate", "--scenario", directory / "scenario.yaml"], directory)
        stack.callback(fleet.stop)
        gateway = Server("gateway", serve, directory, keys)
        gateway.wait_ready(f"http://127.0.0.1:{admin}/readyz")
        command = [options.emberway, "load", "--no-progress", "--url", f"http://127.0.0.1:{listener}", "--model", MODEL, "--key", KEY]
        flags = ["--rate", "150", "--duration", "25s", "--heads", "60", "--stream-share", "0.5", "--concurrency", "128"]
        load = Server("load", [*command, *flags], directory)
        load.process.wait(120)
        end(load.process)
        gateway.stop()
        rows, size = fill(directory / "usage.db")
        say(f"{rows} rows, {size:.0f} bytes of histograms each")
        gateway = Server("gateway", serve, directory, keys)
        stack.callback(gateway.stop)
        gateway.wait_ready(f"http://127.0.0.1:{admin}/readyz")
        questions = {
            "all, 600 points": "series?by=none&points=600",
            "by deployment": "series?by=deployment&points=600",
            "by client within a route": f"series?by=client&route={ROUTES[0]}&points=600",
            "summary": "summary",
            "heat map": "heatmap?of=total",
            "flows": "flows",
        }
        results = []
        for name, path in questions.items():
            took, answer = ask(admin, path, options.times)
            if name == "by deployment":
                counted = sum(group["total"]["requests"] for group in answer["groups"])
                if counted < 0.95 * REQUESTS_AN_HOUR * DAYS * 24:
                    raise Invalid(f"the month has {counted} requests")
            results.append((name, took))
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emberway", type=pathlib.Path, default=ROOT / "target/release/emberway", help="the program")
    parser.add_argument("--times", type=int, default=7, help="times that each question is asked")
    options = parser.parse_args()
    options.emberway = options.emberway.resolve()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bench-month-"))
    try:
        results = run(options, directory)
    except Invalid as problem:
        say(f"invalid: {problem}")
        return 2
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    rows = [[name, f"{statistics.median(took):.0f} ms", f"{min(took):.0f} to {max(took):.0f}"] for name, took in results]
    print("\n".join(table(["30 days at 1,000 requests/s", "median", "spread"], rows)))
    missed = [name for name, took in results if statistics.median(took) > MOST_MS]
    for name in missed:
        print(f"missed: {name} takes longer than {MOST_MS} ms")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
