"""TLS on the TCP listener: with a certificate of the operator's, or one that is made here."""

import datetime as dt
import ssl
from pathlib import Path

from stoker.base.config import Config
from stoker.base.errors import InvalidSetting
from stoker.base.paths import Paths


def tls_context(config: Config, paths: Paths) -> ssl.SSLContext | None:
    """What to show on the listener; None: it is not encrypted.

    Raises InvalidSetting naming the file that cannot be used, StorageError.
    """
    if config.tls_cert:
        return _context(Path(config.tls_cert), Path(config.tls_key or config.tls_cert))
    if config.tls_key:
        raise InvalidSetting(
            f"{config.origins['tls_key']} without a certificate", hint="add --tls-cert FILE"
        )
    if config.tls != "auto":
        return None
    # Making certificates takes 250 ms to import, and this is the only case that needs it.
    from stoker.daemon.certificates import ensure_certificate, names_here  # noqa: PLC0415

    names = names_here(config.host, config.allowed_hosts)
    ensure_certificate(paths.tls, names, dt.datetime.now(dt.UTC))
    return _context(paths.tls / "cert.pem", paths.tls / "key.pem")


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
