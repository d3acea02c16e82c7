"""Which proxy a URL goes through."""

import pytest
from yarl import URL

from stoker.base.errors import InvalidSetting
from stoker.net.proxy import proxy_for

PROXIES = {
    "https": "http://user:word@proxy.lan:3128",
    "http": "proxy.lan:80",
    "no": "internal.example,.sub.example,*.wild.example,10.0.0.0/8,port.example:5000,192.168.1.1",
}


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://r.example/", "http://user:word@proxy.lan:3128"),
        ("http://r.example/", "http://proxy.lan:80"),
        ("https://localhost:5000/", None),
        ("https://127.0.0.1/", None),
        ("https://[::1]/", None),
        ("https://internal.example/", None),
        ("https://a.internal.example/", None),
        ("https://notinternal.example/", "http://user:word@proxy.lan:3128"),
        ("https://a.sub.example/", None),
        ("https://b.wild.example/", None),
        ("https://10.9.8.7/", None),
        ("https://11.9.8.7/", "http://user:word@proxy.lan:3128"),
        ("https://192.168.1.1/", None),
        ("https://port.example:5000/", None),
        ("https://port.example/", "http://user:word@proxy.lan:3128"),
    ],
)
def test_proxies(url: str, proxy: str | None) -> None:
    assert proxy_for(URL(url), PROXIES) == (URL(proxy) if proxy else None)


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("https://huggingface.co/x", "http://p:1"),
        ("http://huggingface.co/x", None),
        ("https://a.internal/x", None),
        ("https://host:99/x", "http://p:1"),
        ("https://host:9/x", None),
        ("https://10.1.2.3/x", None),
    ],
)
def test_a_proxy_without_a_scheme_and_a_list_with_blanks(url: str, proxy: str | None) -> None:
    proxies = {"https": "p:1", "no": ".internal, host:9,10.0.0.0/8"}
    assert proxy_for(URL(url), proxies) == (URL(proxy) if proxy else None)


def test_no_proxy_for_anyone_and_proxies_of_another_kind() -> None:
    assert proxy_for(URL("https://r.example"), {"all": "http://p:1", "no": "*"}) is None
    assert proxy_for(URL("https://r.example"), {"all": "http://p:1"}) == URL("http://p:1")
    with pytest.raises(InvalidSetting, match="socks5") as caught:
        proxy_for(URL("https://r.example"), {"https": "socks5://user:word@p:1"})
    assert "word" not in str(caught.value)


@pytest.mark.parametrize("text", ["http://user:word@p:port", "p:99999", "http://[::1"])
def test_a_proxy_that_is_no_url_is_said_without_its_password(text: str) -> None:
    with pytest.raises(InvalidSetting, match="the proxy setting for https is no URL") as caught:
        proxy_for(URL("https://r.example"), {"https": text})
    assert "word" not in str(caught.value)
