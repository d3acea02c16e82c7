"""pydantic-ai: structured output and a tool loop."""

import os

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

provider = OpenAIProvider(base_url=os.environ["STOKER_TEST_URL"] + "/v1", api_key="none")
model = OpenAIChatModel("pilot", provider=provider)


class Answer(BaseModel):
    number: int


def test_text():
    assert Agent(model).run_sync("hello").output


def test_structured():
    agent = Agent(model, output_type=NativeOutput(Answer))
    assert isinstance(agent.run_sync("2 + 2?").output, Answer)


def test_tools():
    asked = []
    agent = Agent(model)

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return "sunny"

    assert agent.run_sync("What is the weather in Paris?").output
    assert asked


async def test_stream():
    async with Agent(model).run_stream("hello") as result:
        assert await result.get_output()
