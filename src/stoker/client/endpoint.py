"""Which daemon to talk to: a variable, the context in use, this user's socket, or port 12434."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from stoker.base.errors import InvalidSetting
from stoker.base.paths import Paths, check_own, paths_of
from stoker.client.contexts import read_contexts

DEFAULT_PORT: Final = 12434
VARIABLES: Final = ("STOKER_HOST", "MODEL_RUNNER_HOST")
"""The first that is set wins, over contexts too."""
_PORTS: Final = {"http": 80, "https": 443}
# A daemon on this machine answers a connect at once; over a network five seconds are plenty.
CONNECT_TIMEOUT: Final = 5.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a daemon listens, and who said so.

    `origin` is a variable's name, a flag's, `context "NAME"`, or `default`. `ca_cert` (a path) and
    `skip_verify` are a context's; Docker Model Runner's variables come before them.
    """

    scheme: str
    """`unix`, `http` or `https`."""
    host: str = ""
    port: int = 0
    path: str = ""
    """The socket file for `unix`; a prefix before every route otherwise."""
    origin: str = "default"
    ca_cert: str = ""
    skip_verify: bool = False
    key: str = field(default="", repr=False)
    """The API key to send: `STOKER_API_KEY`. A unix socket needs none."""

    def __str__(self) -> str:
        """As a URL, without a slash at the end."""
        if self.scheme == "unix":
            return f"unix://{self.path}"
        return f"{self.authority}{self.path}"

    @property
    def authority(self) -> str:
        """Scheme, host and port of a URL; a unix socket has none."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def may_start(self) -> bool:
        """True when nobody named a host, so that starting a daemon here is what the user wants."""
        return self.origin == "default"

    @property
    def undo(self) -> str:
        """What leads back to the daemon of this machine; empty when a program chose this one."""
        if self.origin in VARIABLES:
            return f"unset {self.origin}"
        return "stoker context use default" if self.origin.startswith("context ") else ""

    def answers(self) -> bool:
        """True when something accepts a connection there now."""
        try:
            self.connect(CONNECT_TIMEOUT).close()
        except OSError:
            return False
        return True

    def connect(self, timeout: float) -> socket.socket:
        """An open socket; the caller closes it. Raises OSError."""
        if self.scheme != "unix":
            return socket.create_connection((self.host, self.port), timeout)
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            link.settimeout(timeout)
            link.connect(self.path)
        except OSError:
            link.close()
            raise
        return link


def endpoint_of(environ: Mapping[str, str] | None = None) -> Endpoint:
    """The endpoint that variables or else the context in use select.

    Raises InvalidSetting, and StorageError where this user's socket may be somebody else's.
    """
    env = os.environ if environ is None else environ
    return replace(_selected(env), key=_key(env))


def _selected(env: Mapping[str, str]) -> Endpoint:
    tls = env.get("MODEL_RUNNER_TLS") == "true"
    for variable in VARIABLES:
        value = env.get(variable, "").strip()
        if value:
            return parse_endpoint(value, origin=variable, tls=tls)
    paths = paths_of(env)
    return _of_context(paths, tls=tls) or _own(paths, env)


def _of_context(paths: Paths, *, tls: bool) -> Endpoint | None:
    contexts = read_contexts(paths.contexts)
    if not contexts.current:
        return None
    context = contexts.find(contexts.current)
    named = parse_endpoint(
        context.host, origin=f'context "{contexts.current}"', tls=tls or context.tls.enabled
    )
    return replace(named, ca_cert=context.tls.ca_cert, skip_verify=context.tls.skip_verify)


def _own(paths: Paths, env: Mapping[str, str]) -> Endpoint:
    own = paths.socket
    if own.parent.exists():
        check_own(own.parent)  # what listens there is told prompts
    # With a home of its own, the daemon of another home on the usual port is not the one meant.
    if own.exists() or env.get("STOKER_HOME"):
        return Endpoint("unix", path=str(own))
    return Endpoint("http", host="127.0.0.1", port=DEFAULT_PORT)


def _key(environ: Mapping[str, str]) -> str:
    return environ.get("STOKER_API_KEY", "").strip()


def endpoint_for(given: Endpoint | str | None) -> Endpoint:
    """What a program names: an endpoint, its text, or nothing for `endpoint_of`'s."""
    if isinstance(given, str):
        return replace(parse_endpoint(given, origin="endpoint"), key=_key(os.environ))
    return given or endpoint_of()


def parse_endpoint(text: str, *, origin: str, tls: bool = False) -> Endpoint:
    """`unix:///path`, `http(s)://host[:port][/prefix]` or `host[:port]`. Raises InvalidSetting."""
    text = text.strip()
    if text.startswith("unix://"):
        return Endpoint("unix", path=_socket(text, origin), origin=origin)
    if any(character.isspace() or not character.isprintable() for character in text):
        raise _invalid(text, origin, "it has a blank or a control character")
    try:
        url = urlsplit(text if "://" in text else f"{'https' if tls else 'http'}://{text}")
        host, port = url.hostname, url.port
        (host or "").encode("idna")  # as the system's resolver will be asked
    except ValueError as error:
        raise _invalid(text, origin, str(error)) from error
    if url.scheme not in _PORTS:
        raise _invalid(text, origin, f"{url.scheme!r} is not one of unix, http, https")
    if not host:
        raise _invalid(text, origin, "it names no host")
    scheme = "https" if tls else url.scheme
    prefix = url.path.rstrip("/")
    return Endpoint(scheme, host, port or _PORTS[scheme], prefix, origin)


def _socket(text: str, origin: str) -> str:
    try:
        path = Path(text.removeprefix("unix://")).expanduser()
    except RuntimeError as error:
        raise _invalid(text, origin, "nobody has such a home directory") from error
    if not path.is_absolute():
        raise _invalid(text, origin, "the path of a unix socket is absolute")
    return str(path)


def _invalid(text: str, origin: str, why: str) -> InvalidSetting:
    return InvalidSetting(
        f"invalid {origin}={text!r}: {why}",
        hint="write it like http://127.0.0.1:12434 or unix:///run/user/1000/stoker/stoker.sock",
    )
