"""A variant of a model that is here: its layers again, with another config or more of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import msgspec

from stoker.base.errors import ParseError, UnsupportedFormat, UserError
from stoker.distribution.artifact import Artifact, FileLayer
from stoker.distribution.layers import Hashed, file_layers, ignore
from stoker.distribution.package import Extras, check_names_differ, modelpack_manifest
from stoker.distribution.package_gguf import plan_gguf
from stoker.formats import FileClass, file_class, is_projector
from stoker.oci import mediatypes as mt
from stoker.oci.descriptor import Descriptor
from stoker.oci.manifest import Manifest
from stoker.oci.modelconfig import ModelConfig, docker_config_bytes, parse_config

# A model has one of each; a new one takes the place of the old one.
_SINGLE: Final = {
    mt.DOCKER_CHAT_TEMPLATE: mt.DOCKER_CHAT_TEMPLATE,
    mt.DOCKER_MMPROJ: mt.DOCKER_MMPROJ,
    mt.DOCKER_GGUF_MMPROJ: mt.DOCKER_MMPROJ,
}


def repackaged(
    manifest: Manifest,
    config: bytes,
    extras: Extras,
    *,
    modelpack: bool = False,
    hashed: Hashed = ignore,
) -> Artifact:
    """The variant. Only the files of `extras` are read; `created` stays what it was.

    `modelpack` turns a model in Docker's format into CNCF's. Raises UserError for what the format
    has no place for, and as `Extras.check` and `parse_config`.
    """
    wanted = extras.wanted
    kind = manifest.config.media_type
    if extras.context_size is not None and (modelpack or kind == mt.CNCF_CONFIG):
        raise UserError(
            "a CNCF ModelPack has no place for a context size",
            hint="use Docker's format, or `stoker configure --context-size`",
        )
    parsed = parse_config(config, kind)
    check_names_differ(wanted)
    new = file_layers(wanted, created=parsed.created, hashed=hashed)
    files = {layer.descriptor.digest: layer for layer in new}
    layers = _merged(manifest.layers, new)
    if modelpack or kind == mt.CNCF_CONFIG:
        return _modelpack(manifest, layers, parsed, files)
    document = _patched(config, layers, extras.context_size)
    described = replace(Descriptor.of(document, kind), annotations=manifest.config.annotations)
    return Artifact(replace(manifest, config=described, layers=layers), document, files)


def weights_of(manifest: Manifest) -> Descriptor:
    """The layer of a model whose weights are one GGUF file in Docker's format.

    Raises UnsupportedFormat for any other.
    """
    found = [layer for layer in manifest.layers if layer.media_type == mt.DOCKER_GGUF]
    if len(found) != 1:
        raise UnsupportedFormat(
            f"its weights are {f'{len(found)} GGUF files' if found else 'not GGUF'},"
            " and only one GGUF file can be taken from a model that is here",
            hint="give the files themselves: package --gguf FIRST-FILE --quantize LEVEL",
        )
    return found[0]


def with_weights(
    manifest: Manifest,
    config: bytes,
    weights: Path,
    extras: Extras,
    *,
    modelpack: bool = False,
    hashed: Hashed = ignore,
) -> Artifact:
    """The variant with another GGUF file in the place of its `weights_of`.

    What the config says of the weights is read from their header; `created` and the context size
    stay. Raises as `plan_gguf`, `Extras.check` and `parse_config`.
    """
    plan = plan_gguf(weights)
    parsed = parse_config(config, manifest.config.media_type)
    wanted = (*plan.wanted, *extras.wanted)
    check_names_differ(wanted)
    new = file_layers(wanted, created=parsed.created, hashed=hashed)
    old = weights_of(manifest)
    kept = [layer for layer in manifest.layers if layer is not old]
    layers = (new[0].descriptor, *_merged(kept, new[1:]))
    described = replace(
        plan.config,
        created=parsed.created,
        context_size=extras.context_size or parsed.context_size,
        diff_ids=tuple(layer.digest for layer in layers),
    )
    files = {layer.descriptor.digest: layer for layer in new}
    if modelpack:
        return _modelpack(manifest, layers, described, files)
    document = docker_config_bytes(described)
    variant = replace(manifest, config=Descriptor.of(document, plan.config_type), layers=layers)
    return Artifact(variant, document, files)


def _modelpack(
    manifest: Manifest,
    layers: Sequence[Descriptor],
    config: ModelConfig,
    files: Mapping[Any, FileLayer],
) -> Artifact:
    variant, document = modelpack_manifest(layers, config)
    return Artifact(replace(variant, annotations=manifest.annotations), document, files)


def _merged(old: Sequence[Descriptor], new: Sequence[FileLayer]) -> tuple[Descriptor, ...]:
    """New layers come last, and instead of those of their name or, if there is but one, kind."""
    names = {_name(layer.descriptor) for layer in new}
    kinds = {_single(layer.descriptor) for layer in new} - {""}
    kept = [
        layer
        for layer in old
        if _single(layer) not in kinds and not (_name(layer) and _name(layer) in names)
    ]
    return (*kept, *(layer.descriptor for layer in new))


def _single(layer: Descriptor) -> str:
    """Which of those it is, as Docker's type; ModelPack's types do not tell, but names do."""
    name = _name(layer)
    if layer.media_type in _SINGLE:
        return _SINGLE[layer.media_type]
    if is_projector(name):
        return mt.DOCKER_MMPROJ
    template = file_class(name) is FileClass.CHAT_TEMPLATE and not name.endswith(".json")
    return mt.DOCKER_CHAT_TEMPLATE if template else ""


def _name(layer: Descriptor) -> str:
    return layer.annotations.get(mt.ANNOTATION_FILEPATH, "").casefold()


def _patched(data: bytes, layers: Sequence[Descriptor], context_size: int | None) -> bytes:
    """The config with these changes; what we do not know in it stays."""
    try:
        wire = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ParseError(f"model config: {error}") from error
    if context_size is not None:
        wire["config"] = {**(wire.get("config") or {}), "context_size": context_size}
    digests = [layer.digest for layer in layers]
    wire["rootfs"] = {"type": "rootfs", **(wire.get("rootfs") or {}), "diff_ids": digests}
    return msgspec.json.encode(wire)
