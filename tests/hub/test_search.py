"""Looking for models."""

import pytest

from stoker.base.errors import HubError, ParseError
from stoker.hub import HubClient
from stoker.hub.search import parse_found, query_of
from tests.components.hub import Answer, HubServer


async def test_the_most_downloaded_first(hub: HubClient, server: HubServer) -> None:
    for number, downloads in enumerate((5, 50, 500)):
        server.add(f"find/Needle-{number}", {"m.gguf": b""})
        server.repos[f"find/Needle-{number}"].downloads = downloads
    server.add("find/Needle-secret", {"m.gguf": b""}, private=True)
    found = await hub.search("needle", limit=2)
    assert [(row.name, row.downloads) for row in found] == [
        ("find/Needle-2", 500),
        ("find/Needle-1", 50),
    ]
    assert found[0].formats == ("gguf",)
    assert found[0].task == "text-generation"
    assert "apps=llama.cpp%2Cvllm&sort=downloads" in server.seen[-1].path


async def test_errors_speak_of_searching(hub: HubClient, server: HubServer) -> None:
    server.on("/api/models?", Answer(500), times=9)
    with pytest.raises(HubError, match=r"the hub's list of models: .* status 500"):
        await hub.search("x")


def test_query_and_answer() -> None:
    assert query_of(" a&b ", limit=5000, gguf_only=True).startswith(
        "api/models?search=a%26b&filter=gguf&sort=downloads&direction=-1&limit=1000&expand="
    )
    assert parse_found(b'[{"id":"a/b","private":true},{"id":"c/d","pipeline_tag":null}]')
    (row,) = parse_found(
        b'[{"id":"a/b","pipeline_tag":"text-generation","usedStorage":7,'
        b'"tags":["gguf","text-generation","license:mit","qwen2","chat","third"]}]'
    )
    assert (row.topics, row.size, row.formats) == (("qwen2", "chat"), 7, ("gguf",))
    with pytest.raises(ParseError):
        parse_found(b"{}")
