"""Failed connections turned into our errors: the only place where aiohttp's are looked at."""

import os
import ssl

import aiohttp

from stoker.base.errors import Broken, RemoteError, Unreachable
from stoker.net.service import Service

_MAX_SHOWN = 200


def connection_error(
    error: Exception, host: str, service: Service, *, phase: str = ""
) -> RemoteError:
    """What an exception of aiohttp or the socket layer means."""
    during = f" {phase}" if phase else ""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return Unreachable(
            f"the certificate of {host} is not trusted: {shown(error.certificate_error)}",
            origin=host,
            hint=service.untrusted.format(host=host),
        )
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return Unreachable(
            f"no TLS connection to {host}: {shown(error)}",
            origin=host,
            hint=service.no_tls.format(host=host),
        )
    if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
        said = error.status if isinstance(error, aiohttp.ClientHttpProxyError) else error.os_error
        return Broken(
            f"the proxy did not connect to {host}: {shown(said)}",
            origin=host,
            hint=f"check HTTPS_PROXY and HTTP_PROXY, or put the {service.noun} into NO_PROXY",
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return Unreachable(
            f"cannot find the host {host}: {_reason(error.os_error)}",
            origin=host,
            hint=service.unknown.format(host=host),
        )
    if isinstance(error, TimeoutError):
        return Broken(
            f"{host} did not answer in time{during}",
            origin=host,
            hint=f"the {service.noun} or the network in between is slow; try again",
        )
    if isinstance(error, aiohttp.ClientConnectorError):
        return Broken(
            f"cannot connect to {host}: {_reason(error.os_error)}",
            origin=host,
            hint=service.silent.format(host=host),
        )
    return Broken(
        f"the connection to {host} broke{during}: {shown(error) or type(error).__name__}",
        origin=host,
        hint="try again; what has arrived is kept",
    )


def shown(text: object) -> str:
    """Foreign text fit for a log and a terminal: one line, printable, short."""
    flat = " ".join(str(text).split())
    flat = "".join(c if c.isprintable() else "?" for c in flat)
    return flat if len(flat) <= _MAX_SHOWN else f"{flat[:_MAX_SHOWN]}..."


def _reason(error: OSError) -> str:
    """The system's own words; asyncio puts the whole address into `strerror`."""
    number = error.errno or 0
    return os.strerror(number) if number > 0 else shown(error.strerror or error)
