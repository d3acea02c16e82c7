"""What engines say of themselves: in vLLM's words here; a real llama.cpp is asked in tests/e2e."""

import msgspec
import pytest

from stoker.engines.witness import PATHS, account_of

CARD = (
    b'{"object":"list","data":[{"id":"test/noise","object":"model","created":1,"owned_by":"vllm",'
    b'"root":"/models/noise","parent":null,"max_model_len":512,"permission":[]}]}'
)
VERSION = b'{"version":"0.32.0"}'


def test_vllm() -> None:
    assert len(PATHS["vllm"]) == 2
    said = account_of("vllm", [CARD, VERSION], unified=True)
    assert said == {"context-size": 512, "build": "0.32.0", "model": "/models/noise"}


def test_slots_that_share_nothing_are_added_up() -> None:
    props = b'{"default_generation_settings":{"n_ctx":256},"total_slots":2,"build_info":"b1"}'
    slots = b'[{"id":0,"n_ctx":256},{"id":1,"n_ctx":256}]'
    assert account_of("llama.cpp", [props, slots], unified=False)["context-size"] == 512
    assert account_of("llama.cpp", [props, slots], unified=True)["context-size"] == 256


@pytest.mark.parametrize("answer", [b"", b"{}", b'{"error":"busy"}'])
def test_what_is_no_description(answer: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        account_of("llama.cpp", [answer, b"[]"], unified=True)
