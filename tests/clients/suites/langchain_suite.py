"""langchain-openai under langchain's own standard suite for chat models."""

import os

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langchain_tests.integration_tests import ChatModelIntegrationTests
from pydantic import BaseModel

URL = os.environ["STOKER_TEST_URL"] + "/engines/v1"
OPTIONS = {
    "model": "pilot",
    "base_url": URL,
    "api_key": "none",
    "max_tokens": 400,
    "stream_usage": True,
}


class TestChat(ChatModelIntegrationTests):
    """Their tests. Off is what a model of five million parameters cannot do: jokes, new tools."""

    @property
    def chat_model_class(self):
        return ChatOpenAI

    @property
    def chat_model_params(self):
        return OPTIONS

    @property
    def has_tool_calling(self):
        return False

    @property
    def has_structured_output(self):
        return False


class Answer(BaseModel):
    """What a structured answer has to be."""

    number: int
    sure: bool


@tool
def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


def test_structured_output():
    model = ChatOpenAI(**OPTIONS).with_structured_output(Answer, method="json_schema")
    assert isinstance(model.invoke("2 + 2?"), Answer)


def test_tools():
    model = ChatOpenAI(**OPTIONS).bind_tools([get_weather])
    answer = model.invoke("What is the weather in Paris?")
    assert answer.tool_calls[0]["name"] == "get_weather"
    assert answer.tool_calls[0]["args"]["city"]
    gathered = None
    for chunk in model.stream("What is the weather in Paris?"):
        gathered = chunk if gathered is None else gathered + chunk
    assert gathered.tool_calls[0]["args"]["city"]
