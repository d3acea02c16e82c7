"""What `openai` can do beyond a chat, against the real daemon and the real engine."""

import base64
import json
import struct
from typing import Any

import openai
import pytest
from openai.types.responses import ResponseCompletedEvent
from pydantic import BaseModel

from tests.components.daemon import Daemon

WEATHER: Any = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather of a city",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
TOOL: Any = {"type": "function", "function": {k: v for k, v in WEATHER.items() if k != "type"}}
ASK_WEATHER: Any = [{"role": "user", "content": "What is the weather in Paris?"}]


class Answer(BaseModel):
    """What a structured answer has to be."""

    number: int
    sure: bool


@pytest.fixture(scope="module")
def client(daemon: Daemon) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{daemon.url}/v1", api_key="none", max_retries=0)


def test_parsed_output(client: openai.OpenAI) -> None:
    done = client.chat.completions.parse(
        model="pilot", messages=[{"role": "user", "content": "2 + 2?"}], response_format=Answer
    )
    assert isinstance(done.choices[0].message.parsed, Answer)


def test_a_tool_call_round_trip_streamed(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="pilot", messages=ASK_WEATHER, tools=[TOOL]
    ) as stream:
        for _ in stream:
            pass
        message = stream.get_final_completion().choices[0].message
    assert message.tool_calls
    call = message.tool_calls[0]
    assert json.loads(call.function.arguments)["city"]
    history: Any = [
        *ASK_WEATHER,
        message.model_dump(exclude_none=True, exclude={"parsed"}),
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    for one in history[1]["tool_calls"]:
        one["function"].pop("parsed_arguments", None)
    last = client.chat.completions.create(model="pilot", messages=history, tools=[TOOL])
    assert last.choices[0].message.content


def test_embeddings_as_numbers_and_as_base64(client: openai.OpenAI) -> None:
    create = client.embeddings.create
    plain = create(model="test/embed", input=["a b", "c"], encoding_format="float")
    packed = create(model="test/embed", input=["a b", "c"], encoding_format="base64")
    raw: Any = packed.data[0].embedding
    numbers = (
        list(struct.unpack(f"<{len(plain.data[0].embedding)}f", base64.b64decode(raw)))
        if isinstance(raw, str)
        else raw
    )
    assert numbers == pytest.approx(plain.data[0].embedding, abs=1e-5)
    assert [one.index for one in plain.data] == [0, 1]


def test_responses_remember(client: openai.OpenAI) -> None:
    first = client.responses.create(model="pilot", input="hello", metadata={"k": "v"})
    assert first.output_text
    assert (first.model, first.metadata) == ("pilot", {"k": "v"})
    second = client.responses.create(model="pilot", input="and now?", previous_response_id=first.id)
    assert first.usage
    assert second.usage
    # The engine has read the first question and its answer again.
    longer = first.usage.input_tokens + first.usage.output_tokens
    assert second.usage.input_tokens > longer
    assert second.previous_response_id == first.id
    assert client.responses.retrieve(first.id).output_text == first.output_text
    (item,) = client.responses.input_items.list(first.id).data
    assert item.type == "message"
    client.responses.delete(first.id)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(first.id)
    with pytest.raises(openai.BadRequestError, match="previous_response_id") as unknown:
        client.responses.create(model="pilot", input="x", previous_response_id=first.id)
    assert unknown.value.code == "previous_response_not_found"


def test_what_a_response_would_read_is_counted_with_what_it_continues(
    client: openai.OpenAI,
) -> None:
    first = client.responses.create(model="pilot", input="hello")
    counted = client.responses.input_tokens.count(
        model="pilot", input="and now?", previous_response_id=first.id
    )
    second = client.responses.create(model="pilot", input="and now?", previous_response_id=first.id)
    assert second.usage
    assert counted.input_tokens == second.usage.input_tokens


def test_responses_that_are_not_stored(client: openai.OpenAI) -> None:
    response = client.responses.create(model="pilot", input="hello", store=False)
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(response.id)


def test_responses_stream(client: openai.OpenAI) -> None:
    text = ""
    with client.responses.stream(model="pilot", input="hello") as stream:
        for event in stream:
            if event.type == "response.output_text.delta":
                text += event.delta
        final = stream.get_final_response()
    assert final.output_text == text
    assert final.status == "completed"
    events = list(client.responses.create(model="pilot", input="hello", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert isinstance(events[-1], ResponseCompletedEvent)
    assert client.responses.retrieve(final.id).output_text == text


def test_responses_call_tools_and_take_their_results(client: openai.OpenAI) -> None:
    with client.responses.stream(
        model="pilot", input="What is the weather in Paris?", tools=[WEATHER]
    ) as stream:
        for _ in stream:
            pass
        first = stream.get_final_response()
    call: Any = next(item for item in first.output if item.type == "function_call")
    assert json.loads(call.arguments)["city"]
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    second = client.responses.create(
        model="pilot", input=[result], previous_response_id=first.id, tools=[WEATHER]
    )
    assert second.output_text


def test_responses_keep_to_a_schema(client: openai.OpenAI) -> None:
    parsed = client.responses.parse(model="pilot", input="2 + 2?", text_format=Answer)
    assert isinstance(parsed.output_parsed, Answer)


def test_a_response_that_is_cut_off_says_so(client: openai.OpenAI) -> None:
    response = client.responses.create(model="pilot", input="hello", max_output_tokens=2)
    assert response.status == "incomplete"
    assert response.incomplete_details
    assert response.incomplete_details.reason == "max_output_tokens"


async def test_async(daemon: Daemon) -> None:
    async with openai.AsyncOpenAI(base_url=f"{daemon.url}/engines/v1", api_key="none") as client:
        stream = await client.chat.completions.create(
            model="pilot", messages=[{"role": "user", "content": "hello"}], stream=True
        )
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert text
        assert (await client.responses.create(model="pilot", input="hello")).output_text
