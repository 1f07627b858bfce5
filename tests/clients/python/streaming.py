"""Streams: order, end, usage only when asked for, and what a client sees when one breaks."""

import json

import openai

import support
from support import FOUR, MODEL

ASKED = {"stream_options": {"include_usage": True}}


def events(body):
    return [piece.removeprefix(b"data: ") for piece in body.split(b"\n\n") if piece]


def the_wire_ends_with_done():
    for more in ({}, ASKED):
        status, headers, body = support.raw_stream({"messages": FOUR, **more})
        assert status == 200 and headers["content-type"].startswith("text/event-stream"), (status, headers)
        assert body.endswith(b"data: [DONE]\n\n"), body[-200:]
        assert body.count(b"[DONE]") == 1, body[-200:]
        assert (b'"usage"' in body) == bool(more), body[-400:]


def chunks_come_in_order():
    for client in (support.classic(), support.v1(), support.v1("/v1")):
        chunks = list(client.chat.completions.create(model=MODEL, messages=FOUR, stream=True))
        assert chunks[0].choices == [], "the filter's annotation of the prompt comes first"
        said = [chunk.choices[0] for chunk in chunks if chunk.choices]
        assert said[0].delta.role == "assistant", said[0]
        assert said[-1].finish_reason in ("stop", "length"), said[-1]
        assert all(choice.finish_reason is None for choice in said[:-1])
        assert "".join(choice.delta.content or "" for choice in said).strip()
        assert all(chunk.usage is None for chunk in chunks), "usage nobody asked for"
        assert all(chunk.choices for chunk in chunks[1:]), "an empty chunk nobody asked for"


def usage_comes_last_when_asked_for():
    stream = support.v1().chat.completions.create(model=MODEL, messages=FOUR, stream=True, **ASKED)
    chunks = list(stream)
    assert chunks[-1].choices == [] and chunks[-1].usage.prompt_tokens > 0, chunks[-1]
    assert all(chunk.usage is None for chunk in chunks[:-1])


def a_stream_says_what_a_whole_answer_says():
    whole = support.v1().chat.completions.create(model=MODEL, messages=FOUR)
    support.control("POST", "/control/reset")
    stream = support.v1().chat.completions.create(model=MODEL, messages=FOUR, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == whole.choices[0].message.content, (text, whole)


def tools_stream():
    tool = {"type": "function", "function": {"name": "find_parcel", "parameters": {"type": "object", "properties": {}}}}
    stream = support.v1().chat.completions.create(
        model=MODEL, messages=FOUR, tools=[tool], tool_choice="required", stream=True
    )
    calls = [call for chunk in stream if chunk.choices for call in chunk.choices[0].delta.tool_calls or []]
    assert calls[0].function.name == "find_parcel", calls
    json.loads("".join(call.function.arguments or "" for call in calls))


def a_broken_stream_raises():
    for action in ({"cut": {"after_chunks": 4}}, {"stream_error": {"after_chunks": 4}}, "omit_done"):
        with support.fault(action):
            stream = support.v1().chat.completions.create(model=MODEL, messages=FOUR, stream=True)
            try:
                pieces = sum(1 for _ in stream)
            except openai.APIError:
                continue
        raise AssertionError(f"{action}: the stream seemed whole after {pieces} chunks")


def a_broken_stream_has_no_done():
    with support.fault({"cut": {"after_chunks": 4}}):
        status, _, body = support.raw_stream({"messages": FOUR})
    last = json.loads(events(body)[-1])
    assert status == 200 and b"[DONE]" not in body, body
    assert last["error"]["code"] == "stream_broken", last


def a_stream_that_breaks_before_it_began_fails_over():
    with support.fault({"cut": {"after_chunks": 0}}, account="a"):
        chunks = list(support.v1().chat.completions.create(model=MODEL, messages=FOUR, stream=True))
    assert chunks[-1].choices[0].finish_reason, chunks[-1]


support.run(
    the_wire_ends_with_done,
    chunks_come_in_order,
    usage_comes_last_when_asked_for,
    a_stream_says_what_a_whole_answer_says,
    tools_stream,
    a_broken_stream_raises,
    a_broken_stream_has_no_done,
    a_stream_that_breaks_before_it_began_fails_over,
)
