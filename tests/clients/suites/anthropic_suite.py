"""The anthropic package; its base URL ends in `/anthropic`, as for Docker Model Runner, or not."""

import os

import anthropic
import pytest

URL = os.environ["STOKER_TEST_URL"]
HELLO = [{"role": "user", "content": "hello"}]
TOOL = {
    "name": "get_weather",
    "description": "The weather of a city",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


@pytest.fixture(params=["/anthropic", ""])
def client(request):
    return anthropic.Anthropic(base_url=URL + request.param, api_key="none", max_retries=0)


def test_create(client):
    message = client.messages.create(model="pilot", max_tokens=64, messages=HELLO, system="Be kind")
    assert message.content[0].text
    assert message.stop_reason in {"end_turn", "max_tokens"}
    assert message.usage.output_tokens > 0


def test_stream(client):
    with client.messages.stream(model="pilot", max_tokens=64, messages=HELLO) as stream:
        text = "".join(stream.text_stream)
        assert stream.get_final_message().content[0].text == text
    assert text


def test_count_tokens(client):
    counted = client.messages.count_tokens(model="pilot", messages=HELLO)
    assert counted.input_tokens > 0


def test_tools(client):
    ask = [{"role": "user", "content": "What is the weather in Paris?"}]
    options = {"model": "pilot", "max_tokens": 200, "tools": [TOOL]}
    message = client.messages.create(messages=ask, **options)
    assert message.stop_reason == "tool_use"
    use = next(block for block in message.content if block.type == "tool_use")
    assert use.input["city"]
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "sunny"}
    history = [
        *ask,
        {"role": "assistant", "content": message.content},
        {"role": "user", "content": [result]},
    ]
    with client.messages.stream(messages=history, **options) as stream:
        assert stream.get_final_message().content


def test_errors(client):
    with pytest.raises(anthropic.NotFoundError, match="model not found"):
        client.messages.create(model="no-such-model", max_tokens=4, messages=HELLO)


async def test_async():
    async with anthropic.AsyncAnthropic(base_url=URL, api_key="none") as client:
        message = await client.messages.create(model="pilot", max_tokens=8, messages=HELLO)
        assert message.content[0].text
