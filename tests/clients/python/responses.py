"""Responses: whole, streamed, and continued where they are kept."""

import openai
import support
from support import MODEL

ASKED = {"model": MODEL, "instructions": "You answer for a parcel service.", "input": "Where is my parcel? \U0001f525 \u6771\u4eac"}
TOOL = {"type": "function", "name": "find_parcel", "parameters": {"type": "object", "properties": {}}, "strict": False}


def clients():
    # The classic client asks at /openai/responses.
    return support.v1(), support.v1("/v1"), support.classic(api_version="2025-04-01-preview")


def whole_responses():
    for client in clients():
        response = client.responses.create(**ASKED)
        assert response.status == "completed" and response.output_text, response
        assert response.usage.input_tokens > 0 and response.usage.output_tokens > 0, response.usage
        assert response.usage.input_tokens_details.cached_tokens == 0, response.usage
        assert response._request_id, response


def streams_come_in_order_and_end_with_usage():
    for client in clients():
        events = list(client.responses.create(**ASKED, stream=True))
        kinds = [event.type for event in events]
        assert kinds[0] == "response.created" and kinds[-1] == "response.completed", kinds
        assert [event.sequence_number for event in events] == list(range(len(events))), events
        text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
        last = events[-1].response
        assert text == last.output_text and last.usage.total_tokens > 0, last


def the_helper_for_streams_gathers_the_response():
    with support.v1().responses.stream(**ASKED) as stream:
        for _ in stream:
            pass
        assert stream.get_final_response().output_text


def a_list_of_items_is_asked_like_a_text():
    client = support.v1()
    items = [{"role": "user", "content": [{"type": "input_text", "text": ASKED["input"]}]}]
    assert client.responses.create(**{**ASKED, "input": items}).output_text == client.responses.create(**ASKED).output_text


def a_tool_is_called():
    response = support.v1().responses.create(**ASKED, tools=[TOOL], tool_choice="required")
    assert response.output[0].type == "function_call" and response.output[0].name == TOOL["name"], response


def a_conversation_goes_on_where_it_is_kept():
    client = support.v1()
    for _ in range(6):
        response = client.responses.create(**ASKED)
        for turn in range(3):
            before = response.usage.input_tokens
            more = {"model": MODEL, "input": "And then?", "previous_response_id": response.id}
            if turn % 2:
                response = list(client.responses.create(**more, stream=True))[-1].response
            else:
                response = client.responses.create(**more)
            assert response.previous_response_id == more["previous_response_id"], response
            assert response.usage.input_tokens > before or turn == 0, (response.usage, before)


def a_response_that_is_not_stored_cannot_be_continued():
    client = support.v1()
    response = client.responses.create(**ASKED, store=False)
    try:
        client.responses.create(model=MODEL, input="And then?", previous_response_id=response.id)
    except openai.BadRequestError as error:
        assert error.code == "previous_response_not_found" and error.param == "previous_response_id", error
    else:
        raise AssertionError("it was continued")


def errors_are_errors():
    client = support.v1()
    for more, kind in (({"model": "nobody"}, openai.NotFoundError), ({"input": "simulator:filter-hate"}, openai.BadRequestError)):
        try:
            client.responses.create(**{**ASKED, **more})
        except kind:
            continue
        raise AssertionError(f"{more}: no {kind.__name__}")


def a_broken_stream_ends_with_an_error_event():
    with support.fault({"cut": {"after_chunks": 8}}):
        events = list(support.v1().responses.create(**ASKED, stream=True))
    last = events[-1]
    assert last.type == "error" and last.code == "stream_broken", last
    assert last.sequence_number == events[-2].sequence_number + 1, events[-2:]
    assert all(event.type != "response.completed" for event in events), events


def a_stream_that_breaks_before_it_began_fails_over():
    with support.fault({"cut": {"after_chunks": 2}}, account="a"):
        for _ in range(4):
            events = list(support.v1().responses.create(**ASKED, stream=True))
            assert events[-1].type == "response.completed", events[-1]


support.run(
    whole_responses,
    streams_come_in_order_and_end_with_usage,
    the_helper_for_streams_gathers_the_response,
    a_list_of_items_is_asked_like_a_text,
    a_tool_is_called,
    a_conversation_goes_on_where_it_is_kept,
    a_response_that_is_not_stored_cannot_be_continued,
    errors_are_errors,
    a_broken_stream_ends_with_an_error_event,
    a_stream_that_breaks_before_it_began_fails_over,
)
