"""Which file each layer of a model is, and what it is for. Pure."""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from stoker.base.errors import UnsupportedFormat
from stoker.formats.code import is_source, why_not
from stoker.formats.quant import MAX_TEMPLATE, FileClass, file_class, is_projector
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
    """Not a file but a tar archive of files."""
    OTHER = "other"
    CODE = "code"
    """Python source: kept, laid out only for who consents to run it."""
    UNUSED = "unused"
    """Other programs, and training data: kept, never laid out for an engine."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """`path` is relative with `/`, as the engine will see it; empty for an archive."""

    path: str
    role: Role
    size: int
    format: Format | None = None
    """Of weights, when layer or name tell."""
    descriptor: Descriptor | None = None
    """Its layer; None for a file out of an archive."""


_ROLES: Final = {
    mt.DOCKER_GGUF: Role.WEIGHTS,
    mt.DOCKER_SAFETENSORS: Role.WEIGHTS,
    mt.DOCKER_DDUF: Role.WEIGHTS,
    mt.CNCF_WEIGHT_GGUF: Role.WEIGHTS,
    mt.CNCF_WEIGHT_SAFETENSORS: Role.WEIGHTS,
    mt.CNCF_WEIGHT_RAW: Role.WEIGHTS,
    mt.DOCKER_MMPROJ: Role.MMPROJ,
    mt.DOCKER_GGUF_MMPROJ: Role.MMPROJ,
    mt.DOCKER_LICENSE: Role.LICENSE,
    mt.DOCKER_VLLM_CONFIG_TAR: Role.ARCHIVE,
    mt.DOCKER_DIR_TAR: Role.ARCHIVE,
}
_UNUSED: Final = (f"{mt.CNCF_PREFIX}code.", f"{mt.CNCF_PREFIX}dataset.")
_ARCHIVES: Final = (".tar", ".tar+gzip", ".tar+zstd")

_FORMATS: Final = {
    FileClass.GGUF: Format.GGUF,
    FileClass.SAFETENSORS: Format.SAFETENSORS,
    FileClass.DDUF: Format.DDUF,
}
_BY_TYPE: Final = {
    mt.DOCKER_GGUF: Format.GGUF,
    mt.CNCF_WEIGHT_GGUF: Format.GGUF,
    mt.DOCKER_SAFETENSORS: Format.SAFETENSORS,
    mt.CNCF_WEIGHT_SAFETENSORS: Format.SAFETENSORS,
    mt.DOCKER_DDUF: Format.DDUF,
}


def files_of(manifest: Manifest) -> tuple[ModelFile, ...]:
    """The files of a model in layer order, with the names the artifact gives or DMR would give."""
    return tuple(_name_files(manifest))


def code_of(manifest: Manifest) -> tuple[ModelFile, ...]:
    """The Python files that a model brings."""
    return tuple(file for file in files_of(manifest) if file.role is Role.CODE)


def unpacked_files(files: Iterable[tuple[str, int]]) -> tuple[ModelFile, ...]:
    """Files out of archives, given by path and size: their names are all there is to go by."""
    return tuple(
        ModelFile(path, _role_of_name(path), size, _FORMATS.get(file_class(path)))
        for path, size in files
    )


def format_of(files: Iterable[ModelFile]) -> Format | None:
    """The format of the weights; None when there are none, or none of a known kind."""
    return next((f.format for f in files if f.role is Role.WEIGHTS and f.format), None)


def check_templates(files: Iterable[ModelFile]) -> None:
    """Refuse templates that only keep an engine busy. Raises UnsupportedFormat."""
    for file in files:
        if file.role is Role.CHAT_TEMPLATE and file.size > MAX_TEMPLATE:
            raise UnsupportedFormat(
                f"its chat template {file.path} has {file.size} bytes; {MAX_TEMPLATE} are the most",
                hint="package the model anew with a template of its own: --chat-template FILE",
            )


def _name_files(manifest: Manifest) -> Iterator[ModelFile]:
    roles = [_role(layer) for layer in manifest.layers]
    count, number = roles.count(Role.WEIGHTS), 0
    taken = {_annotated(layer) for layer in manifest.layers}
    for layer, role in zip(manifest.layers, roles, strict=True):
        path = _annotated(layer)
        number += role is Role.WEIGHTS
        kind = _BY_TYPE.get(layer.media_type) or _FORMATS.get(file_class(path))
        if role is Role.ARCHIVE:
            path = ""
        elif not path:
            path = _default_name(layer, role, (number, count), taken)
            taken.add(path)
        yield ModelFile(path, role, layer.size, kind if role is Role.WEIGHTS else None, layer)


def _annotated(layer: Descriptor) -> str:
    for key in (mt.ANNOTATION_FILEPATH, mt.ANNOTATION_TITLE):
        if layer.annotations.get(key):
            return layer.annotations[key]
    return ""


def _role(layer: Descriptor) -> Role:
    name = _annotated(layer)
    if layer.media_type not in _BY_TYPE and (layer.media_type.startswith(_UNUSED) or why_not(name)):
        return Role.CODE if is_source(name) else Role.UNUSED
    if layer.media_type.startswith(mt.CNCF_PREFIX) and layer.media_type.endswith(_ARCHIVES):
        return Role.ARCHIVE
    role = _ROLES.get(layer.media_type)
    if role is Role.WEIGHTS and "mmproj" in posixpath.basename(name).lower():
        return Role.MMPROJ
    if role:
        return role
    if layer.media_type == mt.DOCKER_CHAT_TEMPLATE and not name.lower().endswith(".json"):
        return Role.CHAT_TEMPLATE
    found = _role_of_name(name)
    if found is Role.OTHER and layer.media_type in (
        mt.CNCF_WEIGHT_CONFIG_RAW,
        mt.DOCKER_MODEL_FILE,
    ):
        return Role.CONFIG
    # Weights are what a layer says they are: a model.file of that name is somebody's example.
    return Role.OTHER if found is Role.WEIGHTS else found


def _role_of_name(name: str) -> Role:
    if why_not(name):
        return Role.UNUSED
    if is_projector(name):
        return Role.MMPROJ
    kind = file_class(name)
    if kind in _FORMATS:
        return Role.WEIGHTS
    if kind is FileClass.CHAT_TEMPLATE:
        # Processors of Hugging Face keep theirs as JSON, which no engine takes as a template.
        return Role.CONFIG if name.lower().endswith(".json") else Role.CHAT_TEMPLATE
    if kind is FileClass.LICENSE:
        return Role.LICENSE
    return Role.CONFIG if kind is FileClass.CONFIG else Role.OTHER


def _default_name(
    layer: Descriptor, role: Role, place: tuple[int, int], taken: Iterable[str]
) -> str:
    """Names for layers without one, as Docker Model Runner's bundles have them."""
    if role is Role.WEIGHTS:
        extension = (_BY_TYPE.get(layer.media_type) or Format.GGUF).value
        number, count = place
        if count == 1:
            return f"model.{extension}"
        return f"model-{number:05d}-of-{count:05d}.{extension}"
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
