"""Security row 9: what comes along on a redirect."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from stoker.base.errors import Denied, RegistryError, StokerError
from stoker.net.redirect import Hop, next_hop

HEADERS = {"Authorization": "Bearer x", "Cookie": "c", "Range": "bytes=5-", "Accept": "a/b"}
HERE = URL("https://r.example:5000/v2/x")


def hop(
    location: str | None, *, method: str = "GET", status: int = 307, url: URL = HERE
) -> Hop | None:
    return next_hop(method, status, url, location, HEADERS, failure=RegistryError)


@pytest.mark.parametrize(
    "location",
    [
        "https://cdn.example/b?sig=a%2Fb%3D",
        "https://r.example/v2/x",  # other port
        "https://r.example:5001/v2/x",
        "https://sub.r.example:5000/",
        "//cdn.example/b",
    ],
)
def test_row_9_credentials_stay_and_range_comes_along(location: str) -> None:
    found = hop(location)
    assert found is not None
    assert dict(found.headers) == {"Range": "bytes=5-", "Accept": "a/b"}


@pytest.mark.parametrize("location", ["/elsewhere", "?q=1", "https://r.example:5000/y", "../z"])
def test_row_9_the_same_origin_keeps_everything(location: str) -> None:
    found = hop(location)
    assert found is not None
    assert dict(found.headers) == HEADERS


def test_row_9_from_http_up_to_https_drops_them_too() -> None:
    found = hop("https://r.example/x", url=URL("http://r.example/x"))
    assert found is not None
    assert "Authorization" not in found.headers


def test_a_signed_url_is_not_quoted_anew() -> None:
    found = hop("https://cdn.example/a%2Fb/c?X-Sig=a%2Fb%2Bc%3D&x=%20#frag")
    assert found is not None
    assert str(found.url) == "https://cdn.example/a%2Fb/c?X-Sig=a%2Fb%2Bc%3D&x=%20"


def test_row_10_a_password_in_the_location_is_dropped() -> None:
    found = hop("https://user:word@cdn.example/b")
    assert found is not None
    assert (found.url.user, found.url.password) == (None, None)


def test_row_9_no_way_down_from_https() -> None:
    with pytest.raises(Denied, match="https to http"):
        hop("http://r.example:5000/x")


@pytest.mark.parametrize(
    "location", ["file:///etc/passwd", "ftp://x/y", "http://[::1", "https://h:99999/", ""]
)
def test_nonsense(location: str) -> None:
    with pytest.raises((RegistryError, Denied)):
        hop(location)


@pytest.mark.parametrize(
    ("method", "status"),
    [("GET", 301), ("GET", 302), ("HEAD", 303), ("GET", 308), ("PATCH", 307), ("PUT", 308)],
)
def test_followed(method: str, status: int) -> None:
    assert hop("/x", method=method, status=status)


@pytest.mark.parametrize(
    ("method", "status"), [("PUT", 302), ("POST", 303), ("GET", 200), ("GET", 304), ("GET", 300)]
)
def test_not_followed(method: str, status: int) -> None:
    assert hop("/x", method=method, status=status) is None


def test_no_location() -> None:
    assert hop(None) is None


@given(st.text(max_size=200), st.integers(300, 308))
def test_locations(location: str, status: int) -> None:
    here = URL("https://r.example/v2/")
    with contextlib.suppress(StokerError):
        hop = next_hop("GET", status, here, location, {"Authorization": "x"}, failure=RegistryError)
        if hop:
            assert hop.url.scheme == "https"
            assert hop.url.user is None
            assert hop.url.origin() == here.origin() or not hop.headers
