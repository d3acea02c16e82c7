"""The config blob of a model artifact: Docker's v0.1 and v0.2, and CNCF ModelPack.

All three are read into one ModelConfig; `docker_config_bytes` writes Docker's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import msgspec

from stoker.base.errors import ParseError, UnsupportedFormat
from stoker.oci.digest import Digest, parse_digest
from stoker.oci.manifest import MAX_METADATA
from stoker.oci.mediatypes import CNCF_CONFIG, MODEL_CONFIGS

MAX_CONTEXT: Final = (1 << 31) - 1
"""`context_size` is an int32 in Docker's config."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """What the artifact says about its model. Strings are for people, as Docker writes them."""

    format: str = ""
    quantization: str = ""
    parameters: str = ""
    architecture: str = ""
    size: str = ""
    context_size: int | None = None
    created: str = ""
    diff_ids: tuple[Digest, ...] = ()
    gguf: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    safetensors: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    diffusers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def created_at(self) -> int:
        """Unix seconds, 0 when unknown."""
        if not self.created:
            return 0
        try:
            # Go writes nanoseconds; fromisoformat stops at microseconds before Python 3.11's
            # tolerant parser, which simply truncates.
            return int(datetime.fromisoformat(self.created).timestamp())
        except (ValueError, OverflowError):
            return 0


class _WireModel(msgspec.Struct):
    format: str = ""
    quantization: str = ""
    parameters: str = ""
    architecture: str = ""
    size: str = ""
    context_size: int | None = None
    gguf: dict[str, str] | None = None
    safetensors: dict[str, str] | None = None
    diffusers: dict[str, str] | None = None
    # ModelPack's own spelling
    paramSize: str = ""  # noqa: N815  # the wire's name


class _WireDescriptor(msgspec.Struct):
    created: str = ""
    createdAt: str = ""  # noqa: N815  # the wire's name


class _WireRootfs(msgspec.Struct):
    diff_ids: list[str] = []
    diffIds: list[str] = []  # noqa: N815  # the wire's name


class _WireConfig(msgspec.Struct):
    config: _WireModel | None = None
    descriptor: _WireDescriptor | None = None
    rootfs: _WireRootfs | None = None
    modelfs: _WireRootfs | None = None


def check_config_type(media_type: str) -> None:
    """Raises UnsupportedFormat for anything but a model config, with the hint to upgrade."""
    if media_type not in MODEL_CONFIGS:
        supported = ", ".join(f'"{kind}"' for kind in sorted(MODEL_CONFIGS, reverse=True))
        raise UnsupportedFormat(
            f'config type "{media_type}" is not supported (supported: {supported})'
            " - try upgrading: unsupported model config media type",
            hint="this artifact is not a model, or was made for a newer version of Stoker",
        )


def parse_config(data: bytes, media_type: str) -> ModelConfig:
    """Decode a config blob. Raises ParseError, UnsupportedFormat."""
    check_config_type(media_type)
    if len(data) > MAX_METADATA:
        raise ParseError(f"model config: {len(data)} bytes, at most {MAX_METADATA} are read")
    try:
        wire = msgspec.json.decode(data, type=_WireConfig)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ParseError(f"model config: {error}") from error
    model = wire.config or _WireModel()
    described = wire.descriptor or _WireDescriptor()
    modelpack = media_type == CNCF_CONFIG
    return ModelConfig(
        format=model.format.lower(),
        quantization=model.quantization,
        parameters=model.parameters or model.paramSize,
        architecture=model.architecture,
        size=model.size or (model.paramSize if modelpack else ""),
        context_size=possible_context(model.context_size),
        created=described.created or described.createdAt,
        diff_ids=_diff_ids(wire),
        gguf=MappingProxyType(model.gguf or {}),
        safetensors=MappingProxyType(model.safetensors or {}),
        diffusers=MappingProxyType(model.diffusers or {}),
    )


def possible_context(tokens: int | None) -> int | None:
    """A number of tokens that can be one; None for any other, as when nothing is said."""
    return tokens if tokens and 0 < tokens <= MAX_CONTEXT else None


def _diff_ids(wire: _WireConfig) -> tuple[Digest, ...]:
    listed: list[str] = []
    if wire.rootfs:
        listed = wire.rootfs.diff_ids
    if not listed and wire.modelfs:
        listed = wire.modelfs.diffIds
    return tuple(parse_digest(text) for text in listed)


def docker_config_bytes(config: ModelConfig) -> bytes:
    """The config blob Docker Model Runner would write for this model (v0.1 and v0.2 alike)."""
    wire: dict[str, Any] = {
        "config": config_wire(config),
        "descriptor": {"created": config.created} if config.created else {},
        "rootfs": {"type": "rootfs", "diff_ids": list(config.diff_ids)},
    }
    return msgspec.json.encode(wire)


def config_wire(config: ModelConfig) -> dict[str, Any]:
    """The `config` object of Docker's artifact and of its management API: empty keys left out."""
    wire: dict[str, Any] = {
        "format": config.format,
        "quantization": config.quantization,
        "parameters": config.parameters,
        "architecture": config.architecture,
        "size": config.size,
        "gguf": dict(sorted(config.gguf.items())),
        "safetensors": dict(sorted(config.safetensors.items())),
        "diffusers": dict(sorted(config.diffusers.items())),
        "context_size": config.context_size,
    }
    return {key: value for key, value in wire.items() if value}
