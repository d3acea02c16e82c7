"""A certificate as a server shows it."""

import ssl
from pathlib import Path

from stoker.base.errors import InvalidSetting


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer with these PEM files. Raises InvalidSetting naming what cannot be used."""
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
