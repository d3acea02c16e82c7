"""Tokens go to the hub only; redirects lead nowhere more private than the hub is."""

import socket
from collections.abc import Sequence

import pytest
from aiohttp.abc import ResolveResult
from yarl import URL

from stoker.base.errors import Denied, HubError, InvalidReference, InvalidSetting, StokerError
from stoker.hub import HubClient, HubOptions, options_of
from stoker.hub.fence import Fence, Reach, literal_of, reach_of
from stoker.hub.options import Token
from stoker.hub.redirect import headers_for, target_of
from stoker.oci.manifest import parse_manifest
from tests.components.hub import Answer, HubServer
from tests.hub.conftest import Naps, quick, read

PERSONAL = {"Authorization": "Bearer hf_x", "Range": "bytes=5-", "Cookie": "a=b"}


async def test_the_token_stays_with_the_hub_and_ranges_travel(
    hub: HubClient, server: HubServer, name: str, gguf: bytes
) -> None:
    server.add(name, {"m-Q4_K_M.gguf": gguf, "LICENSE": b"yes"}, private=True)
    source = await hub.repository(name, token=server.token)
    weights, _ = parse_manifest((await read(source, await source.resolve()))[1]).layers
    assert await read(source, weights, at=7) == (7, gguf[7:])
    assert all(
        s.headers["authorization"] == f"Bearer {server.token}"
        for s in server.seen
        if s.server == "hub"
    )
    at_cdn = [s.headers for s in server.seen if s.server == "cdn"]
    assert at_cdn
    assert not any("authorization" in headers for headers in at_cdn)
    assert at_cdn[-1]["range"] == "bytes=7-"


async def test_a_foreign_next_page_gets_no_token(
    hub: HubClient, server: HubServer, name: str, gguf: bytes
) -> None:
    server.add(name, {"m-Q4_K_M.gguf": gguf})
    link = {"Link": f'<{server.cdn_url}/page2>; rel="next"'}
    server.on("/tree/", Answer(200, link, b"[]"))
    server.on("/page2", Answer(200, {}, b"[]"), server="cdn")
    with pytest.raises(StokerError, match="no model weights"):
        await hub.repository(name, token=server.token)
    assert "authorization" not in server.seen[-1].headers


@pytest.mark.parametrize(
    ("location", "error"),
    [
        ("http://169.254.169.254/latest/meta-data", Denied),
        ("http://[::ffff:169.254.169.254]/", Denied),
        ("http://[fd00:ec2::254]/", Denied),
        ("http://0.0.0.0:1/", Denied),
        ("file:///etc/passwd", HubError),
        ("http://[bad/", HubError),
        ("", HubError),
        ("/same/again", HubError),
    ],
)
async def test_where_redirects_do_not_lead(
    hub: HubClient, server: HubServer, name: str, location: str, error: type[StokerError]
) -> None:
    server.on(name, Answer(302, {"Location": location}))
    server.on("/same/again", Answer(302, {"Location": "/same/again"}), times=20)
    with pytest.raises(error):
        await hub.repository(name)


async def test_resolved_names_are_fenced_in(
    server: HubServer, naps: Naps, name: str, gguf: bytes
) -> None:
    async def lookup(host: str, port: int, family: socket.AddressFamily) -> Sequence[ResolveResult]:
        address = "169.254.169.254" if host == "inside.test" else "127.0.0.1"
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0
            )
        ]

    server.add(name, {"m-Q4_K_M.gguf": gguf})
    by_name = server.cdn_url.replace("127.0.0.1", "cdn.test")
    (blob,) = [digest for digest, data in server.blobs.items() if data == gguf]
    good = {"Location": f"{by_name}/blobs/{blob}?Signature=a%2Bb%3D%3D"}
    async with HubClient(quick(server.url), lookup=lookup, sleep=naps) as hub:
        source = await hub.repository(name)
        server.on("/resolve/", Answer(302, good))
        await source.resolve()
        assert server.seen[-1].headers["host"].startswith("cdn.test:")
        server.on("/revision/", Answer(307, {"Location": "http://inside.test/"}))
        with pytest.raises(Denied, match=r"inside\.test: 169\.254\.169\.254 is a link-local"):
            await hub.repository(name)


async def test_names_are_judged_by_their_addresses() -> None:
    book = {"hub.example": ["93.184.216.34"], "cdn.example": ["93.184.216.35", "127.0.0.1"],
            "inside.example": ["10.0.0.1"], "mirror.example": ["10.0.0.2"]}  # fmt: skip

    async def lookup(
        host: str, port: int, _family: socket.AddressFamily
    ) -> Sequence[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=a, port=port, family=socket.AF_INET, proto=0, flags=0)
            for a in book[host]
        ]

    public = Fence("hub.example", lookup=lookup)
    assert [entry["host"] for entry in await public.resolve("cdn.example")] == ["93.184.216.35"]
    with pytest.raises(Denied, match="a public hub named it, and it is private") as caught:
        await public.resolve("inside.example")
    assert "STOKER_TRUSTED_HOSTS" in str(caught.value.hint)
    with pytest.raises(Denied, match="loopback"):
        await public.check_literal("127.0.0.1")
    await public.check_literal("1.1.1.1")
    private = Fence("mirror.example", lookup=lookup)
    assert await private.resolve("inside.example")
    assert await private.resolve("hub.example")


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("8.8.8.8", Reach.PUBLIC), ("2606:4700::1", Reach.PUBLIC), ("10.1.2.3", Reach.PRIVATE),
        ("100.64.0.1", Reach.PRIVATE), ("fd00::1", Reach.PRIVATE), ("127.1.2.3", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK), ("::ffff:127.0.0.1", Reach.LOOPBACK), ("::", Reach.FORBIDDEN),
        ("64:ff9b::a9fe:a9fe", Reach.FORBIDDEN), ("2002:7f00:1::", Reach.LOOPBACK),
        ("100.100.100.200", Reach.FORBIDDEN), ("224.0.0.1", Reach.FORBIDDEN),
    ],
)  # fmt: skip
def test_reach(address: str, reach: Reach) -> None:
    literal = literal_of(address)
    assert literal is not None
    assert reach_of(literal) is reach


def test_redirect_rules() -> None:
    hub = URL("https://hub.example/a/b")
    cdn = target_of(hub, "https://user:pw@cdn.example/x?s=a%2Bb%3D#part")
    assert str(cdn) == "https://cdn.example/x?s=a%2Bb%3D"
    assert headers_for(cdn, hub, PERSONAL) == {"Range": "bytes=5-"}
    same = target_of(hub, "/c")
    assert headers_for(same, hub, PERSONAL) == PERSONAL
    other_port = target_of(hub, "https://hub.example:444/c")
    assert headers_for(other_port, hub, PERSONAL) == {"Range": "bytes=5-"}
    with pytest.raises(Denied, match="from https to http"):
        target_of(hub, "http://hub.example/c")


def test_a_token_is_never_shown() -> None:
    token = Token("hf_secret", "HF_TOKEN")
    assert "hf_secret" not in repr(token) + repr(HubOptions(token=token))
    with pytest.raises(InvalidSetting) as caught:
        Token("hf_se cret", "HF_TOKEN")
    assert "cret" not in str(caught.value).replace("characters", "")
    with pytest.raises(InvalidSetting):
        options_of({"HF_TOKEN": "hf_a\r\nX-Evil: 1"})


async def test_a_token_of_the_request_that_is_none(hub: HubClient, server: HubServer) -> None:
    with pytest.raises(InvalidSetting, match="token of the request has characters"):
        await hub.repository("org/name", token="hf_a\nb")
    assert not server.seen


@pytest.mark.parametrize(
    "repo",
    ["", "a/b/c", "../x", "a/..", "a b/c", "a/b?x=1", "a/%2e", "a//b", "/a", "a/b\n", "a/b."],
)
async def test_names_that_are_no_repository(hub: HubClient, server: HubServer, repo: str) -> None:
    with pytest.raises(InvalidReference, match="is not the name of a Hugging Face repository"):
        await hub.repository(repo)
    with pytest.raises(InvalidReference, match="is not a revision"):
        await hub.repository("org/name", revision=f"x?{repo}")
    assert not server.seen


async def test_bodies_are_bounded(
    server: HubServer, naps: Naps, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stoker.hub.remote.MAX_INFO", 1000)
    server.on(name, Answer(200, {}, b"x" * 2000))
    async with HubClient(quick(server.url), sleep=naps) as hub:
        with pytest.raises(HubError, match="more than the 1000 bytes"):
            await hub.repository(name)
