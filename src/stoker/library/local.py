"""A model that is here."""

from dataclasses import dataclass

from stoker.library.files import ModelFile, code_of
from stoker.oci.descriptor import Descriptor
from stoker.oci.digest import Digest
from stoker.oci.manifest import Manifest
from stoker.oci.modelconfig import ModelConfig


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model in the store: `names` are canonical references, `descriptor` is its manifest's."""

    descriptor: Descriptor
    names: tuple[str, ...]
    manifest: Manifest
    config: ModelConfig
    trusted: bool = False
    """Whether its own code may be run."""

    @property
    def code(self) -> tuple[ModelFile, ...]:
        """The Python files that it brings."""
        return code_of(self.manifest)

    @property
    def id(self) -> Digest:
        return self.descriptor.digest

    @property
    def name(self) -> str:
        """The first name, or the id of a model without one."""
        return self.names[0] if self.names else self.id
