#!/usr/bin/env python3
"""What does the gateway cost beside nginx, and beside no proxy at all?

One interleaved run on one machine: the same upstream and the same load, directly, through nginx as a plain proxy, and
through the gateway with request log, usage store and affinity on. The proxy has one core to itself; load and upstream
share the other. Rounds go through all legs in turn, in another order each time, so that a slow minute of the machine
is everybody's. Figures are medians of the rounds; "added" is each round's proxy less the same round's direct call.

    cargo build --profile dist --example bench-upstream --bin emberway
    python3 benches/proxy/run.py --emberway target/dist/emberway

Needs Linux, two cores, nginx and wrk. Without --emberway it measures nginx and direct only. It exits with 0 also when
a bound is missed, since a bound depends on the machine; with 2 when the measurement itself is not valid: a request
failed, a proxy answered by itself, a stream ended. Differences under 30 % say nothing on a shared machine.
"""

import argparse
import contextlib
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
PATH = "/openai/deployments/bench/chat/completions?api-version=2024-10-21"
KEY = "bench-key-0123456789abcdef"
SIZES = {"2 KB": 2 * 1024, "64 KB": 64 * 1024}
CONNECTIONS = 32
STREAMS = 500
# The bounds that the project holds itself to; ratios are to nginx.
MAX_CPU_RATIO = {"2 KB": 2.0, "64 KB": 2.5}
MAX_ADDED_P50_US = 200
MAX_STREAM_KIB = 64


class Invalid(Exception):
    """The measurement says nothing."""


class Server:
    """A program under test, pinned to cores: its CPU time and memory are those of the process and its children."""

    def __init__(self, name, command, cores, directory, env=None, stdout=None):
        self.name = name
        self.log = directory / f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                ["taskset", "-c", str(cores), *map(str, command)],
                stdout=stdout or log,
                stderr=log,
                env={**os.environ, **(env or {})},
            )
        self.address = None

    def pids(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [self.process.pid, *map(int, children)]

    def cpu_seconds(self):
        ticks = 0
        for pid in self.pids():
            # The second field, the program's name, may hold spaces.
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def rss_kib(self):
        pages = sum(int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids())
        return pages * os.sysconf("SC_PAGE_SIZE") // 1024

    def wait_ready(self):
        """Waits until a completion comes through; answers with its error otherwise."""
        request = urllib.request.Request(f"http://{self.address}{PATH}", chat(200), headers())
        problem = None
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Invalid(f"{self.name} exited with {self.process.returncode}:\n{tail(self.log)}")
            try:
                with urllib.request.urlopen(request, timeout=5) as answer:
                    answer.read()
                    return
            except urllib.error.HTTPError as error:
                problem = f"{error}: {error.read(500)!r}"
            except OSError as error:
                problem = error
            time.sleep(0.05)
        raise Invalid(f"{self.name} does not answer: {problem}\n{tail(self.log)}")

    def stop(self):
        self.process.send_signal(signal.SIGQUIT if self.name == "nginx" else signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def tail(path):
    return "\n".join(path.read_text(errors="replace").splitlines()[-10:])


def headers():
    return {"content-type": "application/json", "api-key": KEY}


def chat(size, stream=False):
    """A chat body of `size` bytes: a long head, a short user message."""
    system, user = {"role": "system", "content": ""}, {"role": "user", "content": "Where is it?"}
    body = {"model": "bench", "messages": [system, user], "max_tokens": 16, **({"stream": True} if stream else {})}
    words = "You help customers of a furniture shop; be kind, be short and name the order. "
    room = max(0, size - len(json.dumps(body, separators=(",", ":"))))
    system["content"] = (words * (room // len(words) + 1))[:room]
    return json.dumps(body, separators=(",", ":")).encode()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Bench:
    def __init__(self, options, directory):
        self.options = options
        self.directory = directory
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < 2:
            raise Invalid("two cores are needed: one for the proxy, one for load and upstream")
        self.proxy_core, self.load_core = cores[0], cores[1]
        if os.getloadavg()[0] > 0.5:
            say(f"load average {os.getloadavg()[0]:.1f}: something else is running here; the p99 will be its doing")
        # The gateway watches its configuration's directory; the usage store's writes are not to wake it.
        (directory / "usage").mkdir()
        self.wrk, self.nginx = tool("wrk"), tool("nginx")
        self.upstream = None

    def start_upstream(self):
        if not self.options.upstream.exists():
            raise Invalid(f"no `{self.options.upstream}`; cargo build --profile dist --example bench-upstream")
        command = [self.options.upstream.resolve()]
        server = Server("upstream", command, self.load_core, self.directory, stdout=subprocess.PIPE)
        server.address = server.process.stdout.readline().decode().strip()
        self.upstream = server
        server.wait_ready()

    def start(self, name):
        """A fresh proxy; `direct` is the upstream itself."""
        if name == "direct":
            return self.upstream
        address = f"127.0.0.1:{free_port()}"
        template = HERE / ("nginx.conf" if name == "nginx" else "emberway.yaml")
        config = self.directory / template.name
        values = {"LISTEN": address, "ADMIN": f"127.0.0.1:{free_port()}", "UPSTREAM": self.upstream.address}
        text = template.read_text()
        for key, value in {**values, "DIR": str(self.directory)}.items():
            text = text.replace(f"@{key}@", value)
        config.write_text(text)
        if name == "nginx":
            command = [self.nginx, "-p", self.directory, "-e", self.directory / "nginx-error.log", "-c", config]
        else:
            command = [self.options.emberway.resolve(), "run", "--config", config]
        env = {"BENCH_KEY": KEY, "UPSTREAM_KEY": "upstream-key-0123456789abcdef"}
        server = Server(name, command, self.proxy_core, self.directory, env)
        server.address = address
        try:
            server.wait_ready()
        except Invalid:
            server.stop()
            raise
        return server

    def load(self, server, size, connections, seconds):
        """One wrk run; also checks that every request was answered, and by the upstream."""
        body = self.directory / f"body-{size}.json"
        body.write_bytes(chat(size))
        command = ["taskset", "-c", str(self.load_core), self.wrk, "-t1", f"-c{connections}", f"-d{seconds}s"]
        command += ["--timeout", "10s", "-s", str(HERE / "wrk.lua"), f"http://{server.address}{PATH}"]
        seen, cpu = self.count(), server.cpu_seconds()
        env = {**os.environ, "BENCH_BODY": str(body), "BENCH_KEY": KEY}
        run = subprocess.run(command, env=env, capture_output=True, text=True, timeout=seconds + 60)
        cpu, seen = server.cpu_seconds() - cpu, self.count() - seen
        line = next((line for line in run.stdout.splitlines() if line.startswith("RESULT ")), None)
        if line is None:
            raise Invalid(f"wrk gave no result against {server.name}: {run.stdout}{run.stderr}")
        result = json.loads(line.removeprefix("RESULT "))
        if result["errors"] or result["bad_status"] or not result["requests"]:
            raise Invalid(f"requests failed against {server.name}: {result}")
        if seen < result["requests"]:
            raise Invalid(f"{server.name} answered {result['requests']} requests, the upstream saw {seen}")
        # Those in flight at the end cost their CPU time too, so all that the upstream saw are counted.
        return {**result, "cpu_us": cpu / seen * 1e6, "per_s": result["requests"] / result["micros"] * 1e6}

    def count(self):
        with urllib.request.urlopen(f"http://{self.upstream.address}/count", timeout=5) as answer:
            return int(answer.read())

    def rounds(self, legs):
        """{leg: {size: {figure: [one a round]}}}"""
        figures = ("cpu_us", "per_s", "p50", "p99")
        results = {leg: {size: {figure: [] for figure in figures} for size in SIZES} for leg in legs}
        with contextlib.ExitStack() as stack:
            servers = {}
            for leg in legs:
                servers[leg] = self.start(leg)
                if leg != "direct":
                    stack.callback(servers[leg].stop)
            for size in SIZES.values():
                for server in servers.values():
                    self.load(server, size, CONNECTIONS, 1)  # Warm: connections, caches, allocators.
            for number in range(self.options.rounds):
                turn = number % len(legs)
                for leg in legs[turn:] + legs[:turn]:
                    for name, size in SIZES.items():
                        busy = self.load(servers[leg], size, CONNECTIONS, self.options.seconds)
                        alone = self.load(servers[leg], size, 1, max(1, self.options.seconds // 2))
                        for figure in ("cpu_us", "per_s"):
                            results[leg][name][figure].append(busy[figure])
                        for figure in ("p50", "p99"):
                            results[leg][name][figure].append(alone[figure])
                say(f"round {number + 1} of {self.options.rounds} done, load average {os.getloadavg()[0]:.1f}")
        return results

    def stream_kib(self, leg):
        """Memory for each of many open streams, of a fresh process that has served a little."""
        server = self.start(leg)
        try:
            self.load(server, SIZES["2 KB"], 4, 1)
            before = server.rss_kib()
            with contextlib.ExitStack() as stack:
                streams = [stack.enter_context(open_stream(server.address)) for _ in range(STREAMS)]
                during, deadline = [], time.monotonic() + self.options.hold
                while time.monotonic() < deadline:
                    time.sleep(1)
                    during.append(server.rss_kib())
                    read_events(server.name, streams)
            return (max(during) - before) / STREAMS, before
        finally:
            server.stop()


def tool(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin")
    if path is None:
        raise Invalid(f"no {name}; on Debian: apt-get install -y nginx wrk")
    return path


def open_stream(address):
    """A connection on which a stream has begun."""
    host, port = address.split(":")
    body = chat(2048, stream=True)
    head = "".join(f"{name}: {value}\r\n" for name, value in {**headers(), "content-length": len(body)}.items())
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(f"POST {PATH} HTTP/1.1\r\nhost: bench\r\n{head}\r\n".encode() + body)
    received = b""
    while b"data: " not in received:
        part = connection.recv(65536)
        received += part
        if not part or not received.startswith(b"HTTP/1.1 200"):
            raise Invalid(f"a stream did not begin: {received[:300]!r}")
    return connection


def read_events(name, streams):
    """Takes what has come on each stream; each must bring another event within seconds, and not end."""
    for connection in streams:
        connection.settimeout(5)
        received = b""
        while b"data: " not in received:
            try:
                part = connection.recv(65536)
            except OSError as problem:
                raise Invalid(f"a stream through {name} went silent or broke: {problem}") from problem
            if not part:
                raise Invalid(f"a stream through {name} ended: {received[:100]!r}")
            received += part


def say(text):
    print(text, file=sys.stderr, flush=True)


def median(values):
    return statistics.median(values)


def added(results, leg, size, figure):
    """Median over the rounds of proxy less direct, in µs."""
    pairs = zip(results[leg][size][figure], results["direct"][size][figure], strict=True)
    return median([through - direct for through, direct in pairs])


def report(results, memory):
    """(Lines to print, the same figures as data.)"""
    rows = [request_row(results, leg, size) for leg in results for size in SIZES]
    streams = {leg: {"kib": kib, "idle_kib": idle} for leg, (kib, idle) in memory.items()}
    bounds = [bound for row in rows for bound in request_bounds(row) if row["proxy"] == "emberway"]
    if "emberway" in streams:
        bounds.append(("memory of a stream", streams["emberway"]["kib"], MAX_STREAM_KIB, " KiB"))
    lines = table(REQUEST_HEAD, [request_cells(row) for row in rows])
    lines += ["", f"{STREAMS} open streams, one event a second on each:"]
    cells = [[leg, f"{row['kib']:.1f}", f"{row['idle_kib'] / 1024:.0f}"] for leg, row in streams.items()]
    lines += table(["proxy", "KiB/stream", "MiB before"], cells) + [""]
    cells = [
        [name, f"{value:.2f}{unit}", f"{limit}{unit}", "met" if value <= limit else "MISSED"]
        for name, value, limit, unit in bounds
    ]
    if cells:
        lines += table(["bound", "is", "at most", ""], cells)
    else:
        lines.append("the gateway was not measured; give --emberway")
    limits = [
        {"bound": name, "value": value, "limit": limit, "met": value <= limit} for name, value, limit, _unit in bounds
    ]
    return lines, {"requests": rows, "streams": streams, "bounds": limits}


def request_row(results, leg, size):
    figures = results[leg][size]
    cpu = median(figures["cpu_us"])
    row = {
        "proxy": leg,
        "body": size,
        "cpu_us": cpu,
        "cpu_us_range": [min(figures["cpu_us"]), max(figures["cpu_us"])],
        "requests_per_cpu_s": 1e6 / cpu,
        "requests_per_s": median(figures["per_s"]),
        "p50_us": median(figures["p50"]),
        "p99_us": median(figures["p99"]),
    }
    if leg != "direct":
        row["to_nginx"] = cpu / median(results["nginx"][size]["cpu_us"])
        row["added_p50_us"] = added(results, leg, size, "p50")
        row["added_p99_us"] = added(results, leg, size, "p99")
    return row


REQUEST_HEAD = [
    "proxy",
    "body",
    "CPU µs/request",
    "(range)",
    "requests/CPU s",
    "to nginx",
    "added p50 µs",
    "added p99 µs",
]


def request_cells(row):
    cells = [row["proxy"], row["body"], f"{row['cpu_us']:.1f}", "{:.1f}-{:.1f}".format(*row["cpu_us_range"])]
    cells.append(f"{row['requests_per_cpu_s']:,.0f}")
    if row["proxy"] == "direct":
        return [*cells, "", f"(is {row['p50_us']:.0f})", f"(is {row['p99_us']:.0f})"]
    return [*cells, f"{row['to_nginx']:.2f}x", f"{row['added_p50_us']:.0f}", f"{row['added_p99_us']:.0f}"]


def request_bounds(row):
    size = row["body"]
    if "to_nginx" in row:
        yield f"CPU to nginx, {size}", row["to_nginx"], MAX_CPU_RATIO[size], "x"
        yield f"added p50, {size}", row["added_p50_us"], MAX_ADDED_P50_US, " µs"


def table(head, rows):
    """Aligned lines: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = []
    for first, *rest in [head, *rows]:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--emberway", type=pathlib.Path, help="the gateway's binary; without it nginx and direct only")
    upstream = HERE.parents[1] / "target/dist/examples/bench-upstream"
    parser.add_argument("--upstream", type=pathlib.Path, default=upstream, help="bench-upstream's binary")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each run with 32 connections; half with one")
    parser.add_argument("--hold", type=int, default=10, help="seconds that streams are held open")
    parser.add_argument("--json", type=pathlib.Path, help="also write the figures to this file")
    parser.add_argument("--keep", action="store_true", help="keep the directory of logs and configurations")
    options = parser.parse_args()
    if min(options.rounds, options.seconds, options.hold) < 1:
        parser.error("--rounds, --seconds and --hold are at least 1")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65536)), hard))
    directory = pathlib.Path(tempfile.mkdtemp(prefix="bench-proxy-"))
    directory.chmod(0o755)  # nginx's worker may be another user.
    bench = None
    try:
        bench = Bench(options, directory)
        legs = ["direct", "nginx"] + (["emberway"] if options.emberway else [])
        bench.start_upstream()
        results = bench.rounds(legs)
        memory = {leg: bench.stream_kib(leg) for leg in legs if leg != "direct"}
    except Invalid as problem:
        say(f"invalid: {problem}")
        return 2
    finally:
        if bench and bench.upstream:
            bench.upstream.stop()
        if options.keep:
            say(f"kept {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    lines, data = report(results, memory)
    print("\n".join(lines))
    if options.json:
        options.json.write_text(json.dumps(data, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
