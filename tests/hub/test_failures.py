"""What users are told when the hub says no, or nothing."""

import time

import pytest

from stoker.base.errors import (
    AuthRequired,
    Denied,
    HubError,
    ModelNotFound,
    ParseError,
    RateLimited,
    Unreachable,
)
from stoker.hub import HubClient
from stoker.hub.wire import next_page, parse_info, parse_page, retry_after
from stoker.oci.manifest import parse_manifest
from tests.components.hub import Answer, Cut, HubServer
from tests.hub.conftest import Naps, quick, read


async def test_missing_or_private(hub: HubClient, server: HubServer, name: str) -> None:
    with pytest.raises(AuthRequired, match=f"{name} from Hugging Face: not found, or private") as e:
        await hub.repository(name)
    assert "HF_TOKEN" in str(e.value.hint)
    assert f"{server.url}/{name}" in str(e.value.hint)
    with pytest.raises(ModelNotFound, match="Model not found"):
        await hub.repository(name, token=server.token)


async def test_unknown_revision(hub: HubClient, server: HubServer, name: str) -> None:
    server.add(name, {"m.gguf": b""})
    with pytest.raises(ModelNotFound, match="no such revision"):
        await hub.repository(name, revision="refs/pr/7")
    assert server.count("/revision/refs%2Fpr%2F7") == 1


async def test_a_refused_token(hub: HubClient, server: HubServer, name: str) -> None:
    server.add(name, {"m.gguf": b""})
    with pytest.raises(AuthRequired, match=r"the token of the request \(Invalid cred") as e:
        await hub.repository(name, token="hf_old")
    assert "may have expired" in str(e.value.hint)
    assert "hf_old" not in str(e.value)


async def test_gated(hub: HubClient, server: HubServer, name: str, gguf: bytes) -> None:
    server.add(name, {"m-Q4_K_M.gguf": gguf}, gated=True)
    source = await hub.repository(name)
    with pytest.raises(AuthRequired, match="the model is gated, and no token was sent") as without:
        await source.resolve()
    hint = str(without.value.hint)
    assert f"accept its terms at {server.url}/{name}" in hint
    assert "HF_TOKEN" in hint
    server.repos[name].private = True  # the stand-in's sign for "terms not accepted"
    source = await hub.repository(name, token=server.token)
    with pytest.raises(Denied, match="the account behind the token of the request has no access"):
        await source.resolve()


async def test_rate_limits_are_waited_for(
    hub: HubClient, server: HubServer, name: str, gguf: bytes, naps: Naps
) -> None:
    server.add(name, {"m-Q4_K_M.gguf": gguf})
    server.on("/revision/", Answer(429, {"Retry-After": "7"}))
    server.on("/tree/", Answer(429, {"RateLimit": '"api";r=0;t=31'}))
    server.on("/tree/", Answer(503))
    await hub.repository(name)
    assert naps.taken == [7.05, 31.05, 1.0]


async def test_a_long_rate_limit_is_told_at_once(
    hub: HubClient, server: HubServer, name: str, naps: Naps
) -> None:
    server.on("/revision/", Answer(429, {"Retry-After": "3000"}))
    with pytest.raises(RateLimited, match="limits how often") as caught:
        await hub.repository(name)
    assert caught.value.retry_after == 3000
    assert caught.value.hint == (
        "wait 3000 s and try again, or set HF_TOKEN: accounts have higher limits"
    )
    assert naps.taken == []


async def test_an_outage(hub: HubClient, server: HubServer, name: str, naps: Naps) -> None:
    server.on("/revision/", Answer(502), times=9)
    with pytest.raises(HubError, match="answered with status 502") as caught:
        await hub.repository(name)
    assert caught.value.status == 502
    assert naps.taken == [0.5, 1.0, 2.0]
    server.reset()
    server.on(name, Answer(418, {"X-Error-Message": "tea\x7f pot"}))
    with pytest.raises(HubError, match=r"status 418 \(tea\? pot\)"):
        await hub.repository(name)


async def test_metadata_that_breaks_off_is_asked_for_again(
    hub: HubClient, server: HubServer, name: str, gguf: bytes
) -> None:
    server.add(name, {"m-Q4_K_M.gguf": gguf})
    server.on("/revision/", Cut(10))
    server.on("/tree/", Cut(0))
    server.on("/blobs/", Cut(1000), server="cdn")
    await (await hub.repository(name)).resolve()


async def test_an_expired_address_of_the_cdn_is_asked_for_again(
    hub: HubClient, server: HubServer, name: str, gguf: bytes
) -> None:
    server.add(name, {"m-Q4_K_M.gguf": gguf})
    source = await hub.repository(name)
    root = await source.resolve()
    assert server.count("/resolve/") == 1
    (layer,) = parse_manifest((await read(source, root))[1]).layers
    await read(source, layer)
    assert server.count("/resolve/") == 1
    server.on("/blobs/", Answer(403), server="cdn")
    with pytest.raises(Unreachable, match="answered with status 403"):
        await read(source, layer)
    assert (await read(source, layer))[1] == gguf
    assert server.count("/resolve/") == 2


async def test_nobody_listens(naps: Naps) -> None:
    async with HubClient(quick("http://127.0.0.1:1"), waiting=naps.waiting) as hub:
        with pytest.raises(Unreachable, match=r"cannot connect to 127\.0\.0\.1:1") as caught:
            await hub.repository("org/name")
    assert "HF_ENDPOINT" in str(caught.value.hint)
    assert len(naps.taken) == 3


async def test_no_hub_at_all(hub: HubClient, server: HubServer, name: str) -> None:
    server.on(name, Answer(200, {}, b"<html>It works!</html>"))
    with pytest.raises(ParseError, match=f"model info of {name}") as caught:
        await hub.repository(name)
    assert caught.value.hint == "is HF_ENDPOINT a Hugging Face hub?"


async def test_a_file_list_without_end(
    hub: HubClient, server: HubServer, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stoker.hub.remote.MAX_PAGES", 3)
    server.add(name, {"m.gguf": b""})
    link = {"Link": f'<{server.url}/api/models/{name}/tree/x>; rel="next"'}
    server.on("/tree/", Answer(200, link, b"[]"), times=9)
    with pytest.raises(ParseError, match="more than 3 pages"):
        await hub.repository(name)


async def test_a_file_list_that_goes_on_nowhere(
    hub: HubClient, server: HubServer, name: str
) -> None:
    server.add(name, {"m.gguf": b""})
    server.on("/tree/", Answer(200, {"Link": '<http://[x>; rel="next"'}, b"[]"))
    with pytest.raises(HubError, match="no URL"):
        await hub.repository(name)


async def test_a_broken_model_is_found_before_the_download(
    hub: HubClient, server: HubServer, name: str, gguf: bytes
) -> None:
    server.add(name, {"m-Q4_K_M.gguf": gguf[: len(gguf) // 2]})
    source = await hub.repository(name)
    with pytest.raises(ParseError, match=f"{name}: 'm-Q4_K_M.gguf': gguf: "):
        await source.resolve()


@pytest.mark.parametrize(
    ("said", "limit", "seconds"),
    [
        ("5", None, 5.0), (None, '"api";r=0;t=55', 55.0), ("2", '"api";r=0;t=55', 2.0),
        (None, None, None), ("soon", None, None), ("9" * 30, None, None), ("", "t=x", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", None, 0.0),
    ],
)  # fmt: skip
def test_retry_after(said: str | None, limit: str | None, seconds: float | None) -> None:
    assert retry_after(said, limit, now=time.time()) == seconds


def test_wire() -> None:
    assert next_page('<https://h/x?cursor=a%3D>; rel="next"') == "https://h/x?cursor=a%3D"
    assert next_page('<https://h/x>; rel="prev"') is None
    assert next_page(None) is None
    info = parse_info(
        b'{"id":"a/b","sha":"%s","lastModified":"2026-03-01T12:30:45.120+02:00"}' % (b"0" * 40),
        asked="a/b",
    )
    assert info.modified == "2026-03-01T10:30:45.12Z"
    bad = [
        b'{"sha":"main"}', b"[]", b'{"sha":1}', b"\xff", b"[" * 100_000,
    ]  # fmt: skip
    for data in bad:
        with pytest.raises(ParseError):
            parse_info(data, asked="a/b")
    for entry in (
        b'[{"type":"file","path":"x","size":-1}]',
        b'[{"type":"file","path":"x","size":9,"lfs":{"oid":"../x","size":9}}]',
        b'[{"type":"file","path":"x","size":99999999999999999}]',
    ):
        with pytest.raises(ParseError):
            parse_page(entry, asked="a/b")
