"""litellm's `docker_model_runner/`: the one client that was written for Docker's paths."""

import os

import litellm

BASE = os.environ["STOKER_TEST_URL"] + "/engines/llama.cpp"
HELLO = [{"role": "user", "content": "hello"}]


def test_completion():
    answer = litellm.completion("docker_model_runner/pilot", HELLO, api_base=BASE)
    assert answer.choices[0].message.content


def test_stream():
    parts = litellm.completion("docker_model_runner/pilot", HELLO, api_base=BASE, stream=True)
    assert "".join(part.choices[0].delta.content or "" for part in parts)


async def test_async():
    answer = await litellm.acompletion("docker_model_runner/pilot", HELLO, api_base=BASE)
    assert answer.choices[0].message.content
