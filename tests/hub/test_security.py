"""Tokens go to the hub only; redirects lead nowhere more private than the hub is."""

from collections.abc import Sequence

import pytest

from stoker.base.errors import Denied, HubError, InvalidReference, InvalidSetting, StokerError
from stoker.hub import HubClient, HubOptions, options_of
from stoker.hub.options import Token
from stoker.net.names import Names
from stoker.net.reach import Address, Reach, reach_of
from stoker.oci.manifest import parse_manifest
from tests.components.hub import Answer, HubServer
from tests.hub.conftest import Naps, quick, read


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
    async def resolve(host: str) -> Sequence[str]:
        return ["169.254.169.254" if host == "inside.test" else "127.0.0.1"]

    server.add(name, {"m-Q4_K_M.gguf": gguf})
    by_name = server.cdn_url.replace("127.0.0.1", "cdn.test")
    (blob,) = [digest for digest, data in server.blobs.items() if data == gguf]
    good = {"Location": f"{by_name}/blobs/{blob}?Signature=a%2Bb%3D%3D"}
    async with HubClient(
        quick(server.url), names=Names(resolve=resolve), waiting=naps.waiting
    ) as hub:
        source = await hub.repository(name)
        server.on("/resolve/", Answer(302, good))
        await source.resolve()
        assert server.seen[-1].headers["host"].startswith("cdn.test:")
        server.on("/revision/", Answer(307, {"Location": "http://inside.test/"}))
        with pytest.raises(Denied, match=r"inside\.test: 169\.254\.169\.254 is a link-local"):
            await hub.repository(name)


async def test_a_public_hub_names_no_private_host(server: HubServer, naps: Naps, name: str) -> None:
    """The stand-in counts as public here; the token stays at home on the way."""

    async def resolve(host: str) -> Sequence[str]:
        return ["10.0.0.1"]

    def reach(address: Address) -> Reach:
        return Reach.PUBLIC if address.is_loopback else reach_of(address)

    server.on("/revision/", Answer(307, {"Location": "http://inside.test/"}))
    names = Names(resolve=resolve, reach=reach)
    async with HubClient(quick(server.url), names=names, waiting=naps.waiting) as hub:
        with pytest.raises(Denied, match="a public host named it, and it is private") as caught:
            await hub.repository(name)
    assert caught.value.hint == "if you trust it, set STOKER_TRUSTED_HOSTS=inside.test"


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
    async with HubClient(quick(server.url), waiting=naps.waiting) as hub:
        with pytest.raises(HubError, match="more than the 1000 bytes"):
            await hub.repository(name)
