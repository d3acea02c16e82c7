"""Which file each layer of a model is, and what it is for. Pure."""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from stoker.oci import mediatypes as mt
from stoker.oci.descriptor import Descriptor
from stoker.oci.manifest import Manifest
from stoker.planner.spec import Format


class Role(Enum):
    """What an engine does with a file."""

    WEIGHTS = "weights"
    MMPROJ = "mmproj"
    CHAT_TEMPLATE = "chat_template"
    CONFIG = "config"
    LICENSE = "license"
    ARCHIVE = "archive"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """`path` is relative with `/`, as the engine will see it."""

    path: str
    descriptor: Descriptor
    role: Role


_ROLES = {
    mt.DOCKER_GGUF: Role.WEIGHTS,
    mt.DOCKER_SAFETENSORS: Role.WEIGHTS,
    mt.DOCKER_DDUF: Role.WEIGHTS,
    mt.CNCF_WEIGHT_GGUF: Role.WEIGHTS,
    mt.CNCF_WEIGHT_SAFETENSORS: Role.WEIGHTS,
    mt.DOCKER_MMPROJ: Role.MMPROJ,
    mt.DOCKER_GGUF_MMPROJ: Role.MMPROJ,
    mt.DOCKER_CHAT_TEMPLATE: Role.CHAT_TEMPLATE,
    mt.DOCKER_LICENSE: Role.LICENSE,
    mt.DOCKER_VLLM_CONFIG_TAR: Role.ARCHIVE,
    mt.DOCKER_DIR_TAR: Role.ARCHIVE,
}

_SUFFIXES = {".gguf": Format.GGUF, ".safetensors": Format.SAFETENSORS, ".dduf": Format.DDUF}
_BY_TYPE = {
    mt.DOCKER_GGUF: Format.GGUF,
    mt.CNCF_WEIGHT_GGUF: Format.GGUF,
    mt.DOCKER_SAFETENSORS: Format.SAFETENSORS,
    mt.CNCF_WEIGHT_SAFETENSORS: Format.SAFETENSORS,
    mt.DOCKER_DDUF: Format.DDUF,
}


def files_of(manifest: Manifest) -> tuple[ModelFile, ...]:
    """The files of a model in layer order, with the names the artifact gives or DMR would give."""
    return tuple(_name_files(manifest))


def format_of(files: tuple[ModelFile, ...]) -> Format | None:
    """The format of the weights; None when there are none, or none of a known kind."""
    for file in files:
        if file.role is Role.WEIGHTS:
            suffix = posixpath.splitext(file.path)[1].lower()
            found = _BY_TYPE.get(file.descriptor.media_type) or _SUFFIXES.get(suffix)
            if found:
                return found
    return None


def _name_files(manifest: Manifest) -> Iterator[ModelFile]:
    layers = [(layer, _role(layer)) for layer in manifest.layers]
    weights = [layer for layer, role in layers if role is Role.WEIGHTS]
    taken: set[str] = set()
    for layer, role in layers:
        path = _annotated(layer)
        if not path:
            number = weights.index(layer) + 1 if role is Role.WEIGHTS else 0
            path = _default_name(layer, role, number, len(weights), taken)
        taken.add(path)
        yield ModelFile(path, layer, role)


def _annotated(layer: Descriptor) -> str:
    for key in (mt.ANNOTATION_FILEPATH, mt.ANNOTATION_TITLE):
        if layer.annotations.get(key):
            return layer.annotations[key]
    return ""


def _role(layer: Descriptor) -> Role:
    name = posixpath.basename(_annotated(layer)).lower()
    role = _ROLES.get(layer.media_type)
    if role is Role.WEIGHTS and "mmproj" in name:
        return Role.MMPROJ
    if role:
        return role
    if layer.media_type == mt.CNCF_WEIGHT_RAW:
        return Role.MMPROJ if "mmproj" in name else Role.WEIGHTS
    if name.endswith(".jinja") or "chat_template" in name:
        return Role.CHAT_TEMPLATE
    if layer.media_type in (mt.CNCF_WEIGHT_CONFIG_RAW, mt.DOCKER_MODEL_FILE):
        return Role.CONFIG
    return Role.OTHER


def _default_name(layer: Descriptor, role: Role, number: int, of: int, taken: set[str]) -> str:
    """Names for layers without one, as Docker Model Runner's bundles have them."""
    if role is Role.WEIGHTS:
        extension = (_BY_TYPE.get(layer.media_type) or Format.GGUF).value
        return f"model.{extension}" if of == 1 else f"model-{number:05d}-of-{of:05d}.{extension}"
    wanted = {
        Role.MMPROJ: "model.mmproj",
        Role.CHAT_TEMPLATE: "template.jinja",
        Role.LICENSE: "LICENSE",
    }.get(role, f"layer-{layer.digest.partition(':')[2][:12]}")
    name, extra = wanted, 1
    while name in taken:
        extra += 1
        name = f"{wanted}.{extra}"
    return name
