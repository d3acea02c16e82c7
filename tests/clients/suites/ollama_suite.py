"""The ollama package."""

import os

import ollama
import pytest
from pydantic import BaseModel

client = ollama.Client(host=os.environ["STOKER_TEST_URL"])
HELLO = [{"role": "user", "content": "hello"}]


class Answer(BaseModel):
    number: int


def get_weather(city: str) -> str:
    """The weather of a city.

    Args:
        city: its name
    """
    return f"sunny in {city}"


def test_chat():
    answer = client.chat("pilot", HELLO)
    assert answer.message.content
    assert answer.done_reason == "stop"
    assert answer.eval_count > 0


def test_chat_streams():
    parts = list(client.chat("pilot", HELLO, stream=True, options={"temperature": 0}))
    assert "".join(part.message.content or "" for part in parts)
    assert parts[-1].done


def test_generate():
    assert client.generate("pilot", "hello").response
    assert "".join(part.response for part in client.generate("pilot", "hello", stream=True))


def test_structured():
    answer = client.chat("pilot", HELLO, format=Answer.model_json_schema())
    assert Answer.model_validate_json(answer.message.content)


def test_tools():
    ask = [{"role": "user", "content": "What is the weather in Paris?"}]
    answer = client.chat("pilot", ask, tools=[get_weather])
    call = answer.message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert call.function.arguments["city"]
    result = {"role": "tool", "tool_name": "get_weather", "content": "sunny"}
    assert client.chat("pilot", [*ask, answer.message, result]).message.content


def test_embed():
    vectors = client.embed("test/embed", ["a b", "c"]).embeddings
    assert len(vectors) == 2
    assert len(client.embeddings("test/embed", "a b").embedding) == len(vectors[0])


def test_models():
    assert [part.status for part in client.pull("pilot", stream=True)][-1] == "success"
    assert client.pull("pilot").status == "success"
    assert "pilot:latest" in [model.model for model in client.list().models]
    assert client.show("pilot").details.family == "llama"
    client.copy("pilot", "me/copied")
    client.delete("me/copied")
    client.generate("pilot", keep_alive="10m")
    assert "pilot:latest" in [model.model for model in client.ps().models]


def test_errors():
    with pytest.raises(ollama.ResponseError, match="not found") as error:
        client.chat("no-such-model", HELLO)
    assert error.value.status_code == 404


async def test_async():
    answer = await ollama.AsyncClient(host=os.environ["STOKER_TEST_URL"]).chat("pilot", HELLO)
    assert answer.message.content
