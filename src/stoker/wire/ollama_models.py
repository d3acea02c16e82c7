"""Ollama's messages about models: tags, show, ps, pull. Field order is Ollama's."""

from typing import Any

import msgspec


class Details(msgspec.Struct):
    """What a model is."""

    format: str = ""
    family: str = ""
    families: list[str] = []
    parameter_size: str = ""
    quantization_level: str = ""
    parent_model: str = ""


class Model(msgspec.Struct):
    """One entry of `GET /api/tags`. `size` in bytes, `digest` in hex without its algorithm."""

    name: str
    model: str
    modified_at: str
    size: int
    digest: str
    details: Details


class Running(msgspec.Struct):
    """One entry of `GET /api/ps`."""

    name: str
    model: str
    size: int
    digest: str
    details: Details
    expires_at: str
    size_vram: int = msgspec.field(default_factory=int)


class Shown(msgspec.Struct):
    """`POST /api/show`."""

    details: Details
    model_info: dict[str, Any]
    capabilities: list[str]
    modified_at: str
    license: str = ""
    modelfile: str = ""
    parameters: str = ""
    template: str = ""


class Pull(msgspec.Struct):
    """`POST /api/pull`."""

    model: str = ""
    name: str = ""
    stream: bool | None = None


class Named(msgspec.Struct):
    """`POST /api/show`, `DELETE /api/delete`."""

    model: str = ""
    name: str = ""


class Copy(msgspec.Struct):
    """`POST /api/copy`."""

    source: str = ""
    destination: str = ""


class PullStatus(msgspec.Struct, omit_defaults=True):
    """One line of a pull. Bytes; `digest` names the layer, absent for steps without one."""

    status: str
    digest: str = ""
    total: int = 0
    completed: int = 0
