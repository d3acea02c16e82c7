"""Where a redirect leads and which headers may come along. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from yarl import URL

from stoker.base.errors import Denied, RemoteError
from stoker.net.hosts import host_name

# Headers that speak for the user; they stay with the origin they were meant for.
_PERSONAL: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
_ANY_METHOD: Final = frozenset({307, 308})
_ONLY_READS: Final = frozenset({301, 302, 303})


@dataclass(frozen=True, slots=True)
class Hop:
    """The next request of a chain."""

    url: URL
    headers: Mapping[str, str]


def next_hop(
    method: str,
    status: int,
    url: URL,
    location: str | None,
    headers: Mapping[str, str],
    *,
    failure: type[RemoteError],
) -> Hop | None:
    """The hop that an answer asks for, or None when it is final. Raises Denied, `failure`.

    301, 302 and 303 are followed for reads only: for the rest they would change the method
    (RFC 9110 section 15.4), and nobody we talk to means that.
    """
    reads = method in {"GET", "HEAD"}
    if location is None or not (status in _ANY_METHOD or (status in _ONLY_READS and reads)):
        return None
    target = target_of(url, location, failure=failure)
    if target.origin() == url.origin():
        return Hop(target, headers)
    kept = {name: value for name, value in headers.items() if name.lower() not in _PERSONAL}
    return Hop(target, kept)


def target_of(url: URL, location: str, *, failure: type[RemoteError]) -> URL:
    """A `Location` seen from `url`: absolute, HTTP, not less safe than before, without a password.

    The text is taken as encoded already, since signed URLs must not be quoted anew. Raises Denied,
    and `failure` for what is no URL.
    """
    host = host_name(url)
    try:
        target = url.join(URL(location, encoded=True))
        port = target.port
    except ValueError as error:
        raise failure(f"{host} redirects to something that is no URL", origin=host) from error
    if not location or target.scheme not in {"http", "https"} or not target.host or port is None:
        raise failure(f"{host} redirects to something that is no HTTP URL", origin=host)
    if url.scheme == "https" and target.scheme == "http":
        raise Denied(f"{host} redirects from https to http; refused", origin=host)
    if target.user is not None or target.password is not None:
        # aiohttp would send these as credentials.
        target = target.with_user(None)
    return target.with_fragment(None) if target.raw_fragment else target
