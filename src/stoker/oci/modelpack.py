"""Writing CNCF ModelPack: its config, and its media type for each kind of Docker's layers."""

from typing import Any, Final

import msgspec

from stoker.oci import mediatypes as mt
from stoker.oci.modelconfig import ModelConfig

# What has no row is a configuration file: tokenizers, templates, everything else beside weights.
_LAYER_TYPES: Final = {
    mt.DOCKER_GGUF: mt.CNCF_WEIGHT_RAW,
    mt.DOCKER_SAFETENSORS: mt.CNCF_WEIGHT_RAW,
    mt.DOCKER_DDUF: mt.CNCF_WEIGHT_RAW,
    # Recognised by "mmproj" in its name afterwards.
    mt.DOCKER_MMPROJ: mt.CNCF_WEIGHT_RAW,
    mt.DOCKER_GGUF_MMPROJ: mt.CNCF_WEIGHT_RAW,
    mt.DOCKER_LICENSE: mt.CNCF_DOC_RAW,
}
_DOCUMENTS: Final = ("readme", "license", "licence", "notice", "copying")


def modelpack_type(media_type: str, name: str) -> str:
    """The ModelPack media type of a layer; one that is ModelPack's already stays."""
    if media_type.startswith(mt.CNCF_PREFIX):
        return media_type
    if name.lower().endswith(".py"):
        return mt.CNCF_CODE_RAW
    if name.rpartition("/")[2].lower().startswith(_DOCUMENTS):
        return mt.CNCF_DOC_RAW
    return _LAYER_TYPES.get(media_type, mt.CNCF_WEIGHT_CONFIG_RAW)


def modelpack_config_bytes(config: ModelConfig, name: str = "") -> bytes:
    """ModelPack's config for this model; `context_size` and the metadata maps have no place there.

    Keys follow the specification's config.md; those without a value are left out.
    """
    descriptor = {"createdAt": config.created, "name": name}
    model = {
        "architecture": config.architecture,
        "format": config.format,
        "paramSize": config.parameters,
        "quantization": config.quantization,
    }
    wire: dict[str, Any] = {
        "descriptor": {key: value for key, value in descriptor.items() if value},
        "modelfs": {"type": "layers", "diffIds": list(config.diff_ids)},
        "config": {key: value for key, value in model.items() if value},
    }
    return msgspec.json.encode(wire)
