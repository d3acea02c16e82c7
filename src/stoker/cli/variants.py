"""`package --from`: a model that is here, with other weights, files or settings."""

import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stoker.cli.lookup import find_here
from stoker.cli.meter import meter
from stoker.cli.quantizing import quantized
from stoker.cli.session import Session
from stoker.distribution.artifact import Artifact
from stoker.distribution.package import Extras
from stoker.distribution.repackage import repackaged, weights_of, with_weights
from stoker.oci import mediatypes as mt
from stoker.oci.manifest import Manifest
from stoker.store import Store
from stoker.store.headers import check_file
from stoker.store.viewnames import flaw_of


def variant(root: Path, name: str, extras: Extras, *, modelpack: bool) -> Artifact:
    """Layers that are in the store already stay where they are. Raises as `repackaged`."""
    store = Store.open(root)
    manifest, config = _found(store, name)
    with meter("Reading", sum(check_file(one.path).st_size for one in extras.wanted)) as shown:
        return repackaged(manifest, config, extras, modelpack=modelpack, hashed=shown.add)


@contextmanager
def quantized_variant(
    root: Path, name: str, level: str, extras: Extras, session: Session, *, modelpack: bool
) -> Iterator[Artifact]:
    """All but the weights is used again; those are a file that is gone after the block.

    Raises as `quantized` and `with_weights`.
    """
    store = Store.open(root)
    manifest, config = _found(store, name)
    weights = weights_of(manifest)
    path = weights.annotations.get(mt.ANNOTATION_FILEPATH, "")
    # The publisher chose it, and a file of this name will be written.
    called = "model.gguf" if flaw_of(path) else posixpath.basename(path)
    source = store.blobs.path_of(weights.digest)
    with quantized(source, level, session, name=called) as smaller:
        with meter("Reading", smaller.stat().st_size) as shown:
            artifact = with_weights(
                manifest, config, smaller, extras, modelpack=modelpack, hashed=shown.add
            )
        yield artifact


def _found(store: Store, name: str) -> tuple[Manifest, bytes]:
    """Manifest and config. Raises ModelNotFound."""
    found = find_here(store, name)
    return found.manifest, store.blobs.read_metadata(found.manifest.config)
