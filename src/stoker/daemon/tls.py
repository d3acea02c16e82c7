"""TLS on the TCP listener: with a certificate of the operator's, or one that is made here."""

import datetime as dt
import logging
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final, final

from stoker.base.certificate import server_context
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
        self.context = server_context(*self._ensure())

    def renewed(self) -> AbstractContextManager[None]:
        """Look for a new certificate now and then while the block runs."""
        return repeating(_LOOK_SECONDS, self.renew)

    def renew(self) -> None:
        """Use what is there now; if that is no good, say so and go on with the old one."""
        try:
            used = self._ensure()
            # A half-written file must not get into the context that is in use.
            server_context(*used)
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
