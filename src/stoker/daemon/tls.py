"""TLS on the TCP listener: with a certificate of the operator's, or one that is made here."""

import datetime as dt
import logging
import ssl
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, final

from stoker.base.config import Config
from stoker.base.errors import InvalidSetting, StokerError
from stoker.base.paths import Paths
from stoker.daemon.repeating import repeating

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 3600.0
"""Certificates are renewed weeks before they end."""


@final
class Certificate:
    """What the listener shows. New connections see it renewed without a restart.

    Raises InvalidSetting naming the file that cannot be used, StorageError.
    """

    def __init__(self, config: Config, paths: Paths) -> None:
        self._config = config
        self._paths = paths
        self.context = _context(*self._ensure())

    def renewed(self) -> AbstractContextManager[None]:
        """Look for a new certificate now and then while the block runs."""
        return repeating(_LOOK_SECONDS, self.renew)

    def renew(self) -> None:
        """Use what is there now; if that is no good, say so and go on with the old one."""
        try:
            used = self._ensure()
            _context(*used)  # a half-written file must not get into the context that is in use
            self.context.load_cert_chain(*used)
        except StokerError as error:
            logger.warning("the certificate stays as it was: %s", error)

    def _ensure(self) -> tuple[Path, Path]:
        if self._config.tls_cert:
            return Path(self._config.tls_cert), Path(self._config.tls_key or self._config.tls_cert)
        # Making certificates takes 250 ms to import, and this is the only case that needs it.
        from stoker.daemon.certificates import ensure_certificate, names_here  # noqa: PLC0415

        directory = self._paths.tls
        names = names_here(self._config.host, self._config.allowed_hosts)
        ensure_certificate(directory, names, dt.datetime.now(dt.UTC))
        return directory / "cert.pem", directory / "key.pem"


def certificate_of(config: Config, paths: Paths) -> Certificate | None:
    """None: the listener is not encrypted. Raises InvalidSetting, StorageError."""
    if config.tls_key and not config.tls_cert:
        raise InvalidSetting(
            f"{config.origins['tls_key']} without a certificate", hint="add --tls-cert FILE"
        )
    return Certificate(config, paths) if config.tls_cert or config.tls == "auto" else None


def _context(certificate: Path, key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    for file in (certificate, key):
        if not file.is_file():
            raise InvalidSetting(f"{file} is not there, or is no file", hint="see --tls-cert")
    try:
        # An encrypted key would make OpenSSL ask on a terminal that nobody looks at.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (ssl.SSLError, OSError, ValueError) as error:
        raise InvalidSetting(
            f"{certificate} and {key} are no certificate with its key: {error}",
            hint="PEM files; the certificate first, then those that vouch for it; no password",
        ) from error
    return context
