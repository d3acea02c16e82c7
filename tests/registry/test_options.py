"""Settings: schemes, proxies, mirrors and the environment that chooses them."""

from pathlib import Path

import pytest
from yarl import URL

from stoker.base.errors import InvalidSetting
from stoker.registry.options import RegistryOptions, api_host, options_of
from stoker.registry.proxy import proxy_for


@pytest.mark.parametrize(
    ("host", "scheme"),
    [
        ("registry-1.docker.io", "https"), ("localhost", "http"), ("localhost:5000", "http"),
        ("127.0.0.1:5000", "http"), ("127.9.9.9", "http"), ("[::1]:5000", "http"),
        ("nas.local", "http"), ("nas.local:80", "http"), ("local", "https"),
        ("10.0.0.1:5000", "https"), ("localhost.evil.example", "https"),
        ("r.example:5000", "http"), ("r.example", "https"), ("all.example:1", "http"),
    ],
)  # fmt: skip
def test_plain_http_only_where_it_is_named_or_local(host: str, scheme: str) -> None:
    options = options_of({"INSECURE_REGISTRY": "R.example:5000, all.example"})
    assert options.scheme(host) == scheme


def test_insecure_true_is_for_all_and_false_for_none() -> None:
    assert options_of({"INSECURE_REGISTRY": "true"}).scheme("r.example") == "http"
    assert options_of({"INSECURE_REGISTRY": "false"}).scheme("r.example") == "https"
    assert options_of({}).scheme("r.example") == "https"


def test_a_host_with_a_certificate_directory_is_spoken_to_in_tls(tmp_path: Path) -> None:
    (tmp_path / "localhost:5000").mkdir()
    options = RegistryOptions(certs_d=(tmp_path,), insecure_all=True)
    assert options.scheme("localhost:5000") == "https"
    assert options.scheme("localhost:5001") == "http"
    assert options.scheme("..") == "http"


def test_environment() -> None:
    options = options_of(
        {
            "MODEL_RUNNER_REGISTRY_MIRRORS": " https://mirror.example/ ,m2.example,, ",
            "SSL_CERT_FILE": "/a.pem",
            "REQUESTS_CA_BUNDLE": "/a.pem",
            "STOKER_TRUSTED_HOSTS": "SSO.example",
            "https_proxy": "http://p:1",
            "HTTPS_PROXY": "http://q:1",
            "NO_PROXY": "x",
        }
    )
    assert options.mirrors == ("https://mirror.example", "m2.example")
    assert options.ca_files == (Path("/a.pem"),)
    assert options.trusted_hosts == {"sso.example"}
    assert dict(options.proxies) == {"https": "http://p:1", "no": "x"}


def test_docker_hubs_api_lives_elsewhere() -> None:
    assert (api_host("docker.io"), api_host("ghcr.io")) == ("registry-1.docker.io", "ghcr.io")


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


def test_no_proxy_for_anyone_and_proxies_of_another_kind() -> None:
    assert proxy_for(URL("https://r.example"), {"all": "http://p:1", "no": "*"}) is None
    assert proxy_for(URL("https://r.example"), {"all": "http://p:1"}) == URL("http://p:1")
    with pytest.raises(InvalidSetting, match="socks5") as caught:
        proxy_for(URL("https://r.example"), {"https": "socks5://user:word@p:1"})
    assert "word" not in str(caught.value)
