"""Everything else that reads what a peer sent: a value or one of our errors, for any input."""

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stoker.registry
from stoker.base.errors import Denied, RegistryError, StokerError
from stoker.net.reach import Reach
from stoker.oci.mediatypes import OCI_MANIFEST
from stoker.registry.credentials import Secret
from stoker.registry.errand import Errand
from stoker.registry.failures import answer_error
from stoker.registry.manifests import check_manifest, only_manifest
from stoker.registry.realm import check_realm, registered_domain
from stoker.registry.tokens import Grant, TokenCache, read_grant

PULL = Errand("pull", "r.example/a/b:c", frozenset({"repository:a/b:pull"}))


def test_public_names() -> None:
    assert sorted(stoker.registry.__all__) == [
        "Credential", "Credentials", "DockerCredentials", "RegistryClient", "RegistryOptions",
        "Repository", "Secret", "options_of",
    ]  # fmt: skip


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["mediaType", "config", "layers", "manifests", "schemaVersion", "digest", "size"]
            )
            | st.text(max_size=5),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
)
documents = st.binary(max_size=300) | json_like.map(msgspec.json.encode)


@given(documents, st.text(max_size=60), st.text(max_size=90))
def test_manifests(data: bytes, content_type: str, digest: str) -> None:
    headers = {"Content-Type": content_type, "Docker-Content-Digest": digest}
    with contextlib.suppress(StokerError):
        assert check_manifest(data, headers, wanted=None, where="x").size == len(data)
    with contextlib.suppress(StokerError):
        check_manifest(data, {}, wanted=None, where="x")
    with contextlib.suppress(StokerError):
        only_manifest(data, "x")


def test_a_manifest_without_any_type_is_told_by_its_keys() -> None:
    found = check_manifest(b'{"config":{},"layers":[]}', {}, wanted=None, where="x")
    assert found.media_type == OCI_MANIFEST


@given(documents)
def test_token_answers(data: bytes) -> None:
    with contextlib.suppress(StokerError):
        assert read_grant(data, "h").header.reveal().startswith("Bearer ")


@pytest.mark.parametrize(
    ("expires", "seconds"), [(b"300", 270.0), (b"1", 54.0), (b"-9", 54.0), (b"1e300", 38880.0)]
)
def test_token_lifetimes_are_bounded(expires: bytes, seconds: float) -> None:
    grant = read_grant(b'{"token":"t","expires_in":%s}' % expires, "h")
    assert grant.seconds == pytest.approx(seconds)


@given(st.integers(400, 599), st.binary(max_size=200), st.none() | st.text(max_size=30))
def test_error_answers(status: int, body: bytes, retry_after: str | None) -> None:
    error = answer_error(
        status=status, body=body, retry_after=retry_after, host="h", elsewhere=False, errand=PULL
    )
    assert error.message.isprintable()
    assert len(error.message) < 500


def test_tokens_are_kept_by_host_and_scope_until_they_expire() -> None:
    now = [0.0]
    cache = TokenCache(lambda: now[0])
    pull, push = frozenset({"pull"}), frozenset({"push"})
    cache.keep("a", pull, Grant(Secret("Bearer t"), 60.0))
    header = cache.header("a", pull)
    assert header is not None
    assert header.reveal() == "Bearer t"
    assert cache.header("b", pull) is None
    assert cache.header("a", push) is None
    now[0] = 60.0
    assert not cache.knows("a", pull)
    # A password is good for the whole host.
    cache.keep("a", frozenset(), Grant(Secret("Basic p"), 60.0))
    assert cache.knows("a", push)
    cache.forget("a", push)
    assert not cache.knows("a", push)


@pytest.mark.parametrize("token", ['"a\\r\\nX-Evil: b"', '"t\\u00f6k"', '"\\u0000"', '""', "7"])
def test_tokens_that_are_no_header(token: str) -> None:
    with pytest.raises(RegistryError, match="token service h sent no"):
        read_grant(b'{"token":%s}' % token.encode(), "h")


@given(st.text(max_size=100) | st.text(max_size=30).map(lambda text: f"https://r.example{text}"))
def test_realms(realm: str) -> None:
    from yarl import URL

    with contextlib.suppress(Denied):
        url, _ = check_realm(realm, URL("https://r.example"), Reach.PUBLIC, frozenset())
        assert registered_domain(str(url.raw_host)) == "r.example"
