"""Models in Ollama's store: manifests/<registry>/<namespace>/<name>/<tag>, blobs/sha256-<hex>.

Its templates are Go's, which no engine here reads; the GGUF has the model's own.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from stoker.base.errors import DigestMismatch, UnsupportedFormat
from stoker.distribution.artifact import Artifact
from stoker.distribution.found import Found, Unusable, decode, each, planned, reference_of
from stoker.distribution.layers import Hashed
from stoker.distribution.package_gguf import plan_gguf
from stoker.oci import mediatypes as mt
from stoker.oci.digest import parse_digest, split_digest

_REGISTRY: Final = "registry.ollama.ai"
_MODEL: Final = "application/vnd.ollama.image.model"
_PROJECTOR: Final = "application/vnd.ollama.image.projector"
_ADAPTER: Final = "application/vnd.ollama.image.adapter"
_LICENSE: Final = "application/vnd.ollama.image.license"


class _Layer(msgspec.Struct, rename="camel"):
    media_type: str
    digest: str
    size: int


class _Manifest(msgspec.Struct, rename="camel"):
    layers: list[_Layer]


def ollama_store(folder: Path) -> Iterator[Found | Unusable]:
    """Every model that a manifest there speaks of."""
    root = folder / "manifests"
    paths = sorted(path for path in root.glob("*/*/*/*") if path.is_file())
    tags = (path for path in paths if not path.name.startswith("."))
    return each(tags, lambda path: _model(folder, path, path.relative_to(root).parts))


def _model(folder: Path, path: Path, parts: tuple[str, ...]) -> Iterator[Found]:
    manifest = decode(path, _Manifest)
    host, namespace, name, tag = parts
    place = name if namespace == "library" else f"{namespace}/{name}"
    place = place if host == _REGISTRY else f"{host}/{namespace}/{name}"
    weights = _of_type(manifest, _MODEL)
    if not weights:
        return
    _check(path, manifest)
    plan = plan_gguf(_blob(folder, weights[0]))
    wanted = [replace(plan.wanted[0], name=f"{name}.gguf")]
    for kind, media_type, called in (
        (_LICENSE, mt.DOCKER_LICENSE, "LICENSE"),
        (_PROJECTOR, mt.DOCKER_MMPROJ, "mmproj.gguf"),
    ):
        for number, layer in enumerate(_of_type(manifest, kind), start=1):
            unique = called if number == 1 else f"{number}-{called}"
            extra = _blob(folder, layer)
            wanted.append(replace(wanted[0], path=extra, name=unique, media_type=media_type))
    plan = replace(plan, wanted=tuple(wanted))
    digests = {_blob(folder, layer): layer.digest for layer in manifest.layers}
    found = planned(plan, reference_of(f"{place}:{tag}", name, tag))
    yield replace(found, build=_checked(found.build, digests))


def _of_type(manifest: _Manifest, media_type: str) -> list[_Layer]:
    return [layer for layer in manifest.layers if layer.media_type == media_type]


def _check(path: Path, manifest: _Manifest) -> None:
    """Raises UnsupportedFormat for a model that would be another one without its other parts."""
    if _of_type(manifest, _ADAPTER):
        raise UnsupportedFormat(f"{path}: it is a model with an adapter (LoRA) over it")
    for kind in (_MODEL, _PROJECTOR):
        if len(_of_type(manifest, kind)) > 1:
            raise UnsupportedFormat(f"{path}: its weights are several files")


def _blob(folder: Path, layer: _Layer) -> Path:
    return folder / "blobs" / "-".join(split_digest(parse_digest(layer.digest)))


def _checked(
    make: Callable[[Hashed], Artifact], digests: dict[Path, str]
) -> Callable[[Hashed], Artifact]:
    """The same, when the files are what their store says they are."""

    def checked(hashed: Hashed) -> Artifact:
        artifact = make(hashed)
        for layer in artifact.files.values():
            if layer.descriptor.digest != digests[layer.path]:
                raise DigestMismatch(
                    f"{layer.path} is not what its name says: it was damaged there",
                    hint="pull that model again with the program it belongs to",
                )
        return artifact

    return checked
