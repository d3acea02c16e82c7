"""Certificates of our own, for who has none: an authority that clients trust, and what it signs.

The authority stays for ten years, so that clients trust it once. The certificate is made anew when
it ends, or when this machine has got another name or address.
"""

import datetime as dt
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stoker.base.errors import StorageError
from stoker.store.durable import disk_errors, replace_file

_AUTHORITY_DAYS: Final = 3650
_CERTIFICATE_DAYS: Final = 365
_RENEW_DAYS: Final = 30
# A client's clock may be a little behind.
_BEFORE: Final = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure_certificate(directory: Path, names: Iterable[str], now: dt.datetime) -> None:
    """See to it that `cert.pem` and `key.pem` are there for these names, signed by `ca.pem`.

    Raises StorageError.
    """
    with disk_errors("write", directory):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    wanted = frozenset(names)
    authority = _read(directory, "ca", now)
    if authority is None:
        authority = _authority(now)
        _write(directory, "ca", authority)
    found = _read(directory, "", now)
    if found is None or not wanted <= _names(found) or not _signed(found, authority):
        _write(directory, "", _certificate(authority, wanted, now))


def names_here(host: str, more: Iterable[str]) -> frozenset[str]:
    """The names and addresses by which this machine is reached when it listens on `host`."""
    found = {"localhost", "127.0.0.1", "::1", "model-runner.docker.internal", *more}
    if host not in ("0.0.0.0", "::"):  # noqa: S104  # a comparison, no binding
        return frozenset({*found, host})
    for addresses in psutil.net_if_addrs().values():
        for one in addresses:
            # The address of a link says which one behind a percent sign.
            if one.family in (socket.AF_INET, socket.AF_INET6) and "%" not in one.address:
                found.add(one.address)
    return frozenset({*found, socket.gethostname().lower()})


def _authority(now: dt.datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"Stoker on {socket.gethostname()}")
    usage = _usage(signs_certificates=True)
    builder = _builder(name, name, key, now, _AUTHORITY_DAYS)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    return Pair(builder.sign(key, hashes.SHA256()), key)


def _certificate(authority: Pair, names: frozenset[str], now: dt.datetime) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = authority.certificate.subject
    builder = _builder(_name("Stoker"), issuer, key, now, _CERTIFICATE_DAYS)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False),
        (x509.SubjectAlternativeName([_general(name) for name in sorted(names)]), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return Pair(builder.sign(authority.key, hashes.SHA256()), key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
    days: int,
) -> x509.CertificateBuilder:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(identifier, critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _names(pair: Pair) -> frozenset[str]:
    try:
        found = pair.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(str(name.value) for name in found.value)


def _signed(pair: Pair, authority: Pair) -> bool:
    try:
        pair.certificate.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _read(directory: Path, prefix: str, now: dt.datetime) -> Pair | None:
    """What is there, if it is whole and good for a while."""
    certificate, key = _files(directory, prefix)
    try:
        signed = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    except OSError as error:
        raise StorageError(f"cannot read {certificate.parent}: {error.strerror}") from error
    soon = signed.not_valid_after_utc - now < dt.timedelta(days=_RENEW_DAYS)
    if soon or not isinstance(private, ec.EllipticCurvePrivateKey):
        return None
    return Pair(signed, private)


def _write(directory: Path, prefix: str, pair: Pair) -> None:
    certificate, key = _files(directory, prefix)
    private = pair.key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with disk_errors("write", directory):
        replace_file(key, private, scratch=directory, mode=0o600)
        public = pair.certificate.public_bytes(serialization.Encoding.PEM)
        replace_file(certificate, public, scratch=directory)


def _files(directory: Path, prefix: str) -> tuple[Path, Path]:
    if prefix:
        return directory / f"{prefix}.pem", directory / f"{prefix}-key.pem"
    return directory / "cert.pem", directory / "key.pem"
