"""TLS contexts: the system's certificates, a bundle named in the environment, and `certs.d`."""

import asyncio
import re
import ssl
from pathlib import Path
from typing import final

from stoker.base.errors import InvalidSetting

# A host may come out of a redirect; it must not become a path that leads elsewhere.
_HOST = re.compile(r"[a-z0-9\[][a-z0-9.:\]_-]*", re.IGNORECASE)


def certificate_directories(certs_d: tuple[Path, ...], host: str) -> tuple[Path, ...]:
    """The directories that hold certificates for `host[:port]`."""
    if not _HOST.fullmatch(host):
        return ()
    return tuple(path for directory in certs_d if (path := directory / host).is_dir())


@final
class TlsContexts:
    """One context per host that has certificates of its own, and one for everybody else."""

    def __init__(self, *, ca_files: tuple[Path, ...], certs_d: tuple[Path, ...]) -> None:
        self._ca_files = ca_files
        self._certs_d = certs_d
        self._contexts: dict[tuple[Path, ...], ssl.SSLContext] = {}

    async def context(self, host: str) -> ssl.SSLContext:
        """The context for `host[:port]`. Raises InvalidSetting for a certificate that is none."""
        directories = certificate_directories(self._certs_d, host)
        known = self._contexts.get(directories)
        if known is None:
            # Reading the system's bundle takes some 10 ms; the loop has better things to do.
            known = await asyncio.to_thread(_context, self._ca_files, directories)
            self._contexts[directories] = known
        return known


def _context(ca_files: tuple[Path, ...], directories: tuple[Path, ...]) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for path in ca_files:
        if path.exists():
            _trust(context, path)
    for directory in directories:
        # The layout of Docker's certs.d: *.crt are authorities, *.cert + *.key our own identity.
        for path in sorted(directory.glob("*.crt")):
            _trust(context, path)
        for path in sorted(directory.glob("*.cert")):
            _identify(context, path, path.with_suffix(".key"))
    return context


def _trust(context: ssl.SSLContext, path: Path) -> None:
    try:
        if path.is_dir():
            context.load_verify_locations(capath=path)  # of c_rehash
        else:
            context.load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError) as error:
        raise InvalidSetting(f"{path} is no readable certificate bundle: {error}") from error


def _identify(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        context.load_cert_chain(certificate, key)
    except (ssl.SSLError, OSError) as error:
        raise InvalidSetting(
            f"the client certificate {certificate} cannot be used with {key.name}: {error}"
        ) from error
