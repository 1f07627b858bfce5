"""What the measuring scripts share: programs that run until they are stopped, and tables."""

import math
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request


class Invalid(Exception):
    """The measurement says nothing."""


class Server:
    """A program that runs until it is stopped."""

    def __init__(self, name, command, directory, env=None, stdout=None):
        self.name = name
        self.log = directory / f"{name}.log"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                list(map(str, command)), stdout=stdout or log, stderr=log, env={**os.environ, **(env or {})}
            )

    def wait_ready(self, url):
        """Waits until this URL is answered with 200."""
        problem = None
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise Invalid(f"{self.name} exited with {self.process.returncode}:\n{tail(self.log)}")
            try:
                fetch(url)
                return
            except OSError as error:
                problem = error
            time.sleep(0.05)
        raise Invalid(f"{self.name} does not get ready: {problem}\n{tail(self.log)}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def fetch(url, timeout=5):
    with urllib.request.urlopen(url, timeout=timeout) as answer:
        return answer.read()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def end(process):
    if process.poll() is None:
        process.kill()
        process.wait()


def tail(path):
    return "\n".join(path.read_text(errors="replace").splitlines()[-10:])


def say(text):
    print(text, file=sys.stderr, flush=True)


def quantile(ordered, part):
    """The smallest value that at least this part of all is not above."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)]


def table(head, rows):
    """Aligned lines: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = []
    for first, *rest in [head, *rows]:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return lines
