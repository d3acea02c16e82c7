"""Settings that every client of foreign hosts has."""

from pathlib import Path

from stoker.net.options import net_options_of


def test_environment() -> None:
    options = net_options_of(
        {
            "HOME": "/home/me",
            "SSL_CERT_FILE": "/a.pem",
            "REQUESTS_CA_BUNDLE": "/a.pem",
            "CURL_CA_BUNDLE": "/b",
            "STOKER_TRUSTED_HOSTS": "SSO.example, cdn.lan:8443,",
            "https_proxy": "http://p:1",
            "HTTPS_PROXY": "http://q:1",
            "NO_PROXY": "x",
        }
    )
    assert options.ca_files == (Path("/a.pem"), Path("/b"))
    assert options.certs_d == (Path("/etc/docker/certs.d"), Path("/home/me/.docker/certs.d"))
    assert options.trusted_hosts == {"sso.example", "cdn.lan:8443"}
    assert dict(options.proxies) == {"https": "http://p:1", "no": "x"}


def test_nothing_set() -> None:
    options = net_options_of({})
    assert (options.ca_files, options.trusted_hosts, dict(options.proxies)) == ((), frozenset(), {})
