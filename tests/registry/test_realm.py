"""Security row 8: where a registry may send us for a token."""

import pytest
from yarl import URL

from stoker.base.errors import Denied
from stoker.net.reach import Reach
from stoker.registry.realm import check_realm, registered_domain

NOBODY: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("https://registry-1.docker.io", "https://auth.docker.io/token"),
        ("https://ghcr.io", "https://ghcr.io/token"),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth"),
        ("https://registry.example.co.uk", "https://auth.example.co.uk/t"),
        ("https://nvcr.io", "https://authn.nvidia.com/token"),
        ("https://r.example.com:5000", "https://r.example.com/token"),
        ("http://localhost:5000", "http://localhost:5001/token"),
        ("https://me.azurecr.io", "https://me.azurecr.io/oauth2/token"),
    ],
)
def test_good_realms(registry: str, realm: str) -> None:
    url, least = check_realm(realm, URL(registry), Reach.PUBLIC, NOBODY)
    assert (str(url), least) == (realm, Reach.PUBLIC)


@pytest.mark.parametrize(
    ("registry", "realm"),
    [
        ("https://registry.example.com", "https://evil.example/token"),
        ("https://registry.example.com", "http://registry.example.com/token"),
        ("https://registry.example.com", "https://user:pass@registry.example.com/token"),
        ("https://registry.example.com", "https://10.0.0.1/token"),
        ("https://registry.example.com", "https://127.0.0.1/token"),
        ("https://registry.example.com", "https://169.254.169.254/latest/meta-data"),
        ("https://registry.example.com", "file:///etc/passwd"),
        ("https://registry.example.com", "//registry.example.com/token"),
        ("https://registry.example.com", "https:///token"),
        ("https://registry.example.com", "https://registry.example.com:99999/token"),
        ("https://registry.example.com", ""),
        ("https://me.azurecr.io", "https://you.azurecr.io/token"),
        ("https://a.co.uk", "https://b.co.uk/token"),
        ("https://10.0.0.1", "https://10.0.0.2/token"),
        ("https://example.com", "https://example.com.evil.net/token"),
    ],
)
def test_bad_realms(registry: str, realm: str) -> None:
    with pytest.raises(Denied):
        check_realm(realm, URL(registry), Reach.PUBLIC, NOBODY)


def test_a_private_registry_may_use_another_private_host_only() -> None:
    """What docker/model-runner#1050 asked for: the blocklist broke private registries."""
    realm, registry = "https://keycloak.corp/auth", URL("https://registry.lan:5000")
    assert check_realm(realm, registry, Reach.PRIVATE, NOBODY)[1] is Reach.PRIVATE


def test_a_trusted_host_is_good() -> None:
    registry = URL("https://registry.example.com")
    trusted = frozenset({"sso.example.net"})
    assert check_realm("https://sso.example.net/t", registry, Reach.PUBLIC, trusted)
    with pytest.raises(Denied, match=r"elsewhere, sso\.example\.org; refused") as caught:
        check_realm("https://sso.example.org/t", registry, Reach.PUBLIC, trusted)
    assert caught.value.hint == "if you trust it, set STOKER_TRUSTED_HOSTS=sso.example.org"


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("a.b.example.com", "example.com"),
        ("example.com", "example.com"),
        ("x.example.co.uk", "example.co.uk"),
        ("co.uk", None),
        ("localhost", None),
        ("10.0.0.1", None),
        ("a..b", None),
        ("me.azurecr.io", "me.azurecr.io"),
    ],
)
def test_registered_domain(host: str, domain: str | None) -> None:
    assert registered_domain(host) == domain
