"""Whole answers through every door, and what must not show: failover, size, script."""

import asyncio
import json

import support
from support import FOUR, MODEL


def says_something(answer):
    assert answer.choices[0].message.role == "assistant", answer
    assert answer.choices[0].message.content, answer
    assert answer.choices[0].finish_reason in ("stop", "length"), answer
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    return answer


def classic_with_a_key():
    says_something(support.classic().chat.completions.create(model=MODEL, messages=FOUR))


def classic_with_a_token():
    client = support.classic(api_key=None, azure_ad_token=support.KEY)
    says_something(client.chat.completions.create(model=MODEL, messages=FOUR))


def both_undated_prefixes():
    for prefix in ("/openai/v1/", "/v1"):
        says_something(support.v1(prefix).chat.completions.create(model=MODEL, messages=FOUR))


def a_tool_is_called():
    parameters = {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]}
    tool = {"type": "function", "function": {"name": "find_parcel", "parameters": parameters}}
    answer = support.v1().chat.completions.create(
        model=MODEL, messages=FOUR, tools=[tool], tool_choice={"type": "function", "function": {"name": "find_parcel"}}
    )
    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "find_parcel", call
    assert "number" in json.loads(call.function.arguments), call


def an_answer_keeps_to_a_schema():
    schema = {"type": "object", "properties": {"place": {"type": "string"}}, "required": ["place"]}
    form = {"type": "json_schema", "json_schema": {"name": "whereabouts", "schema": schema}}
    answer = support.classic().chat.completions.create(model=MODEL, messages=FOUR, response_format=form)
    assert isinstance(json.loads(answer.choices[0].message.content)["place"], str), answer


def the_request_id_is_exposed():
    first, second = (support.v1().chat.completions.create(model=MODEL, messages=FOUR) for _ in range(2))
    assert first._request_id and first._request_id != second._request_id, (first._request_id, second._request_id)


def same_tokens_as_asked_directly(text):
    messages = [{"role": "user", "content": text}]
    through = support.v1(timeout=60).chat.completions.create(model=MODEL, messages=messages)
    straight = support.direct(timeout=60).chat.completions.create(model=support.DIRECT_MODEL, messages=messages)
    assert through.usage.prompt_tokens == straight.usage.prompt_tokens, (through.usage, straight.usage)


def every_script_arrives_whole():
    same_tokens_as_asked_directly("Straße, naïve, 東京都, שלום, привет, \u0000 \" \\ \u2028")
    same_tokens_as_asked_directly("👩‍👩‍👧‍👦 🏳️‍🌈 🔥" * 50)


def a_large_prompt_arrives_whole():
    # 1 MB is 250,000 tokens to the simulator, whose context the test's scenario makes wide enough.
    same_tokens_as_asked_directly("abcdefgh" * (1_000_000 // 8))


def failover_is_invisible():
    for preset in ("server_error", "unavailable_html", "bad_gateway_html", "gateway_timeout"):
        with support.fault({"preset": preset}, account="a"):
            raw = support.v1().chat.completions.with_raw_response.create(model=MODEL, messages=FOUR)
            says_something(raw.parse())
            assert raw.headers["x-emberway-region"] == "region-b", raw.headers


def fifty_at_once():
    async def ask(client, number):
        messages = [*FOUR, {"role": "user", "content": f"And parcel {number}?"}]
        return await client.chat.completions.create(model=MODEL, messages=messages)

    async def all_of_them():
        async with support.asynchronous() as client:
            return await asyncio.gather(*(ask(client, number) for number in range(50)))

    answers = asyncio.run(all_of_them())
    assert len({says_something(answer)._request_id for answer in answers}) == 50


support.run(
    classic_with_a_key,
    classic_with_a_token,
    both_undated_prefixes,
    a_tool_is_called,
    an_answer_keeps_to_a_schema,
    the_request_id_is_exposed,
    every_script_arrives_whole,
    a_large_prompt_arrives_whole,
    failover_is_invisible,
    fifty_at_once,
)
