"""OCI registries over HTTP: pull from them and push to them as Source and Sink."""

from stoker.registry.client import RegistryClient
from stoker.registry.credentials import Credential, Credentials, DockerCredentials, Secret
from stoker.registry.options import RegistryOptions, options_of
from stoker.registry.repository import Repository

__all__ = [
    "Credential", "Credentials", "DockerCredentials", "RegistryClient", "RegistryOptions",
    "Repository", "Secret", "options_of",
]  # fmt: skip
