"""GGUF and DDUF files to be packaged."""

from pathlib import Path

from stoker.base.errors import ModelNotFound, ParseError, UnsupportedFormat
from stoker.distribution.layers import Wanted
from stoker.distribution.package import Plan
from stoker.formats import Kind, shard_names
from stoker.oci import mediatypes as mt
from stoker.oci.modelconfig import ModelConfig
from stoker.planner.describe import model_config_of
from stoker.planner.spec import Format
from stoker.store.headers import check_file, gguf_facts

_ZIP = b"PK\x03\x04"


def plan_gguf(first: Path) -> Plan:
    """A GGUF model, from its only file or any of its shards.

    Raises ModelNotFound when a file is missing, ParseError when one is not a whole GGUF,
    UnsupportedFormat when it is not a model by itself.
    """
    paths = _shards(first)
    facts = gguf_facts(*paths)
    if facts.kind is Kind.PROJECTOR:
        raise UnsupportedFormat(
            f"{first} is a projector, not a model", hint="give the model, and this with --mmproj"
        )
    if facts.kind is Kind.ADAPTER:
        raise UnsupportedFormat(f"{first} is an adapter (LoRA), not a model")
    wanted = tuple(Wanted(path, path.name, mt.DOCKER_GGUF) for path in paths)
    return Plan(wanted, model_config_of(facts), mt.DOCKER_CONFIG_V01, facts.warnings)


def plan_dduf(path: Path) -> Plan:
    """A DDUF archive: one file with a whole diffusion model. Raises as `plan_gguf`."""
    check_file(path)
    with path.open("rb") as file:
        if file.read(len(_ZIP)) != _ZIP:
            raise ParseError(f"{path} is not a DDUF archive: it is no ZIP file", offset=0)
    config = ModelConfig(
        format=Format.DDUF.value,
        architecture="diffusers",
        diffusers={"layout": "dduf", "dduf_file": path.name},
    )
    wanted = Wanted(path, path.name, mt.DOCKER_DDUF)
    return Plan((wanted,), config, mt.DOCKER_CONFIG_V01)


def _shards(first: Path) -> list[Path]:
    check_file(first)
    paths = [first.with_name(name) for name in shard_names(first.name)]
    missing = [path.name for path in paths if not path.exists()]
    if missing:
        raise ModelNotFound(
            f"{first.name} is one of {len(paths)} shards, and {', '.join(missing[:3])}"
            f" {'is' if len(missing) == 1 else 'are'} not in {first.parent}",
            hint="all shards must lie in one directory",
        )
    return paths
