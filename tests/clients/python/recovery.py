"""A fleet that is throttled for five seconds, and what the library makes of it.

Takes the gateway's `waiting.max_wait` in seconds. With it nobody sees a 429; without (0) it is one, whose `retry-after` is right, and the
library's own retry succeeds.
"""

import sys
import time
from concurrent.futures import ThreadPoolExecutor

import openai

import support
from support import DIRECT_MODEL, FOUR, MODEL

MAX_WAIT = float(sys.argv[1])
# Both deployments have 30 PTUs, 7,450 tokens a second, and hold ten seconds of that: 15 seconds' worth is five too many.
FILL = [{"role": "user", "content": "word " * (15 * 7_450 * 4 // 5)}]
SECONDS = 5


def fill():
    """Fills both deployments."""
    for _ in range(2):
        support.v1().chat.completions.create(model=MODEL, messages=FILL, max_tokens=1)


def ask(client):
    started = time.monotonic()
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=FOUR)
    assert raw.parse().choices, raw
    return raw.retries_taken, time.monotonic() - started


def after(error):
    return float(error.response.headers["retry-after-ms"]) / 1000


def twenty_clients_wait_and_none_is_refused():
    # Without retries a single 429 would be an exception.
    clients = [support.v1() for _ in range(20)]
    fill()
    with ThreadPoolExecutor(20) as pool:
        took = [seconds for _, seconds in pool.map(ask, clients)]
    assert SECONDS - 2 < max(took) < MAX_WAIT, took
    print("waited", *(f"{seconds:.1f}" for seconds in (min(took), max(took))))


def one_429_is_right_and_the_retry_succeeds():
    once, again, direct = support.v1(), support.v1(max_retries=1), support.direct()
    fill()
    try:
        ask(once)
        raise AssertionError("no 429")
    except openai.RateLimitError as error:
        told = after(error)
        assert abs(int(error.response.headers["retry-after"]) - told) <= 1, error.response.headers
    # What the deployment that recovers first says itself.
    try:
        direct.chat.completions.create(model=DIRECT_MODEL, messages=FOUR)
        raise AssertionError("no 429")
    except openai.RateLimitError as error:
        assert abs(told - after(error)) < 1, (told, after(error))
    retries, took = ask(again)
    assert retries == 1 and abs(took - told) < 1, (retries, took, told)
    print(f"told {told:.1f}, took {took:.1f}")


if MAX_WAIT:
    support.run(twenty_clients_wait_and_none_is_refused)
else:
    support.run(one_429_is_right_and_the_retry_succeeds)
