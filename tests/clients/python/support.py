"""What the scenarios share: where things are, faults, and a look at the wire that no library tidies up."""

import http.client
import json
import os
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from openai import AsyncOpenAI, AzureOpenAI, OpenAI

URL = os.environ["EMBERWAY_URL"]
KEY = os.environ["EMBERWAY_KEY"]
CONTROL = os.environ["SIMULATOR_CONTROL"]
DIRECT_URL = os.environ["SIMULATOR_URL"]
DIRECT_KEY = os.environ["SIMULATOR_KEY"]

# The names behind the gateway: routes; and directly: deployments.
MODEL, EMBEDDER = "bot", "embed"
DIRECT_MODEL = "ft"
API_VERSION = "2024-10-21"

FOUR = [
    {"role": "system", "content": "You answer for a parcel service."},
    {"role": "user", "content": "Where is my parcel?"},
    {"role": "assistant", "content": "May I have its number?"},
    {"role": "user", "content": "It is 4711."},
]


def classic(**more):
    options = {"azure_endpoint": URL, "api_key": KEY, "api_version": API_VERSION, "max_retries": 0}
    return AzureOpenAI(**{**options, **more})


def v1(prefix="/openai/v1/", kind=OpenAI, **more):
    return kind(**{"base_url": URL + prefix, "api_key": KEY, "max_retries": 0, **more})


def asynchronous(**more):
    return v1(kind=AsyncOpenAI, **more)


def direct(**more):
    """The simulated deployment itself, past the gateway."""
    options = {"azure_endpoint": DIRECT_URL, "api_key": DIRECT_KEY, "api_version": API_VERSION, "max_retries": 0}
    return AzureOpenAI(**{**options, **more})


def control(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = Request(CONTROL + path, data, {"content-type": "application/json"}, method=method)
    with urlopen(request, timeout=10) as response:
        text = response.read()
    return json.loads(text) if text else None


class fault:
    """A fault in force inside a `with` block."""

    def __init__(self, action, **where):
        self.fault = {"action": action, **where}

    def __enter__(self):
        control("POST", "/control/faults", self.fault)

    def __exit__(self, *_):
        control("DELETE", "/control/faults")


def raw_stream(body):
    """The bytes of a streamed answer as they come: status, header fields, body."""
    address = urlsplit(URL)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    connection.request(
        "POST",
        "/openai/v1/chat/completions",
        json.dumps({"model": MODEL, "stream": True, **body}),
        {"authorization": f"Bearer {KEY}", "content-type": "application/json"},
    )
    response = connection.getresponse()
    return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()


def run(*scenarios):
    """Runs the scenarios in order; the first that fails ends the process with its traceback."""
    for scenario in scenarios:
        control("POST", "/control/reset")
        scenario()
        print("ok", scenario.__name__)
