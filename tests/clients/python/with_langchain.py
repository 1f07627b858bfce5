"""LangChain's clients, which send what the official ones do not: `model: null`, and `include_usage` unasked."""

from langchain_openai import AzureChatOpenAI, ChatOpenAI

import support

ASKED = [("system", "You answer for a parcel service."), ("user", "Where is my parcel?")]


def azure():
    return AzureChatOpenAI(
        azure_endpoint=support.URL,
        api_key=support.KEY,
        api_version=support.API_VERSION,
        azure_deployment=support.MODEL,
        max_retries=0,
    )


def plain():
    return ChatOpenAI(
        base_url=support.URL + "/openai/v1/", api_key=support.KEY, model=support.MODEL, max_retries=0
    )


def whole_answers():
    for client in (azure(), plain()):
        answer = client.invoke(ASKED)
        assert answer.content and answer.usage_metadata["input_tokens"] > 0, answer


def streams():
    chunks = list(azure().stream(ASKED))
    assert "".join(chunk.content for chunk in chunks).strip()
    assert sum(chunk.usage_metadata["input_tokens"] for chunk in chunks if chunk.usage_metadata) > 0
    assert "".join(chunk.content for chunk in plain().stream(ASKED)).strip()


support.run(whole_answers, streams)
