"""Each failure arrives as the exception that the client has for it."""

import time

import openai

import support
from support import FOUR, MODEL


def refused(kind, client, **asked):
    try:
        answer = client.chat.completions.create(**{"model": MODEL, "messages": FOUR, **asked})
    except kind as error:
        assert type(error) is kind, type(error)
        return error
    raise AssertionError(f"no {kind.__name__}: {answer}")


def an_unknown_model_is_not_found():
    for client in (support.classic(), support.v1()):
        error = refused(openai.NotFoundError, client, model="nobody")
        assert (error.code, error.param) == ("model_not_found", "model"), error
        assert "`nobody`" in error.message and "`bot`" in error.message, error
        assert error.request_id, "an error has a request id too"


def a_wrong_key_is_an_authentication_error():
    for client in (support.classic(api_key="wrong"), support.v1(api_key="wrong")):
        error = refused(openai.AuthenticationError, client)
        assert error.code == "invalid_api_key" and "wrong" not in error.message, error


def a_wrong_key_is_not_tried_again():
    started = time.monotonic()
    refused(openai.AuthenticationError, support.v1(api_key="wrong", max_retries=5))
    assert time.monotonic() - started < 0.4, "the client waited for nothing"


def throttled_everywhere_is_a_rate_limit_error():
    with support.fault({"preset": "token_limit"}):
        for _ in range(2):
            # The first is Azure's word, the second the gateway's own: it asks nobody while all rest.
            error = refused(openai.RateLimitError, support.v1())
            after = float(error.response.headers["retry-after-ms"]) / 1000
            assert 15 < after <= 20, after
            assert int(error.response.headers["retry-after"]) in (int(after), int(after) + 1), error.response.headers


def retry_after_is_honoured():
    # Each of the two deployments refuses once for 200 ms; the client's one retry comes after that.
    with support.fault({"preset": "provisioned_full"}, count=2):
        started = time.monotonic()
        raw = support.v1(max_retries=1).chat.completions.with_raw_response.create(model=MODEL, messages=FOUR)
        took = time.monotonic() - started
    assert raw.retries_taken == 1 and raw.parse().choices, raw.retries_taken
    assert took >= 0.15, took


def the_content_filter_is_a_bad_request():
    for client in (support.classic(), support.v1()):
        error = refused(
            openai.BadRequestError, client, messages=[{"role": "user", "content": "simulator:filter-violence"}]
        )
        assert error.code == "content_filter", error
        assert error.body["innererror"]["content_filter_result"]["violence"]["filtered"] is True, error.body


def a_filtered_answer_says_so():
    answer = support.v1().chat.completions.create(
        model=MODEL, messages=[{"role": "user", "content": "simulator:filter-answer"}]
    )
    assert answer.choices[0].finish_reason == "content_filter", answer


def a_broken_fleet_is_an_internal_server_error():
    with support.fault({"preset": "server_error"}):
        error = refused(openai.InternalServerError, support.v1())
    assert error.status_code == 500, error


support.run(
    an_unknown_model_is_not_found,
    a_wrong_key_is_an_authentication_error,
    a_wrong_key_is_not_tried_again,
    retry_after_is_honoured,
    the_content_filter_is_a_bad_request,
    a_filtered_answer_says_so,
    a_broken_fleet_is_an_internal_server_error,
    # Last: the fleet rests for 20 s after it.
    throttled_everywhere_is_a_rate_limit_error,
)
