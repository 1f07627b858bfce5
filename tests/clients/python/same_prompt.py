"""Sends the prompt of ../prompt.json once, through the official client or LangChain's, as either would be used."""

import json
import os
import pathlib
import sys

PROMPT = json.loads((pathlib.Path(__file__).parent.parent / "prompt.json").read_text(encoding="utf-8"))
WHERE = {"base_url": os.environ["EMBERWAY_URL"] + "/openai/v1/", "api_key": os.environ["EMBERWAY_KEY"], "max_retries": 0}


def openai():
    from openai import OpenAI

    OpenAI(**WHERE).chat.completions.create(model="bot", messages=PROMPT["messages"], tools=PROMPT["tools"])


def langchain():
    from langchain_openai import ChatOpenAI

    ChatOpenAI(model="bot", **WHERE).bind_tools(PROMPT["tools"]).invoke(PROMPT["messages"])


{"openai": openai, "langchain": langchain}[sys.argv[1]]()
