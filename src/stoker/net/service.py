"""The words of one kind of service: what its errors are, and what to do about them. Pure."""

from dataclasses import dataclass

from stoker.base.errors import RemoteError


@dataclass(frozen=True, slots=True)
class Service:
    """What errors call the hosts of one kind, and what they advise.

    `failure` is raised for answers that such a host must not give. In the advice `{host}` stands
    for the host.
    """

    noun: str
    failure: type[RemoteError]
    untrusted: str
    """When its certificate is not trusted."""
    no_tls: str
    unknown: str
    """When its name cannot be resolved."""
    silent: str
    """When nothing takes the connection."""
