"""Where a redirect leads and which headers come along. Pure."""

from collections.abc import Mapping
from typing import Final

from yarl import URL

from stoker.base.errors import Denied, HubError

_PERSONAL: Final = frozenset({"authorization", "cookie", "proxy-authorization"})
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


def is_redirect(status: int) -> bool:
    """Whether the answer to a GET asks for another one."""
    return status in _REDIRECTS


def target_of(url: URL, location: str | None) -> URL:
    """A `Location` seen from `url`: absolute, HTTP, not less safe than before, without a password.

    The text is taken as encoded already: signed URLs must not be quoted anew. Raises HubError,
    Denied.
    """
    host = host_name(url)
    try:
        target = url.join(URL(location or "", encoded=True))
        port = target.port
    except ValueError as error:
        raise HubError(f"{host} redirects to something that is no URL", origin=host) from error
    if not location or target.scheme not in {"http", "https"} or not target.host or port is None:
        raise HubError(f"{host} redirects to something that is no HTTP URL", origin=host)
    if url.scheme == "https" and target.scheme == "http":
        raise Denied(f"{host} redirects from https to http; refused", origin=host)
    if target.user is not None or target.password is not None:
        target = target.with_user(None)  # aiohttp would send these as credentials
    return target.with_fragment(None) if target.raw_fragment else target


def headers_for(target: URL, url: URL, headers: Mapping[str, str]) -> Mapping[str, str]:
    """What goes along from `url` to `target`: everything, or nothing that speaks for the user.

    `Range` always goes along (security row 9).
    """
    if target.origin() == url.origin():
        return headers
    return {name: value for name, value in headers.items() if name.lower() not in _PERSONAL}


def host_name(url: URL) -> str:
    """`host`, or `host:port` when the port is not the scheme's own: as users write it."""
    return url.host_port_subcomponent or ""
