"""Models that other programs have on this disk: found, described, and taken in without a copy.

Read are the Hugging Face cache (`models--org--name`), Ollama's store, Docker Model Runner's store,
and plain files. Nothing in there is trusted: every file is hashed before it becomes a blob.
"""

from collections.abc import Iterator
from pathlib import Path

from stoker.base.errors import NotFound, StorageError, UnsupportedFormat
from stoker.distribution.found import Found, Unusable, each, planned, reference
from stoker.distribution.import_docker import docker_store
from stoker.distribution.import_hub import PREFIX, hub_name, hub_repository, hub_snapshot
from stoker.distribution.import_ollama import ollama_store
from stoker.distribution.package import Plan
from stoker.distribution.package_directory import plan_directory
from stoker.distribution.package_gguf import plan_dduf, plan_gguf
from stoker.formats import FileClass, file_class, shard_of
from stoker.oci.reference import Reference


def find_models(source: Path) -> tuple[Found | Unusable, ...]:
    """The models in a file or directory of a known kind.

    Raises NotFound, UnsupportedFormat when it is of no kind known here, ParseError,
    StorageError.
    """
    if source.is_file():
        return (planned(_plan_file(source), _file_name(source)),)
    if not source.is_dir():
        raise NotFound(f"{source}: no such file or directory")
    try:
        found = tuple(_find_in(source))
    except OSError as error:
        raise StorageError(f"{error.filename}: {error.strerror}") from error
    if not found:
        raise NotFound(f"there is no complete model in {source}")
    return found


def _find_in(source: Path) -> Iterator[Found | Unusable]:
    if (source / "models.json").is_file() and (source / "layout.json").is_file():
        yield from docker_store(source)
    elif (source / "manifests").is_dir() and (source / "blobs").is_dir():
        yield from ollama_store(source)
    elif (source / "models" / "manifests").is_dir():
        yield from ollama_store(source / "models")
    elif repositories := sorted(source.glob(f"{PREFIX}*")):
        yield from each(repositories, hub_repository)
    elif source.name.startswith(PREFIX):
        yield from hub_repository(source)
    elif source.parent.name == "snapshots":
        yield from hub_snapshot(source, hub_name(source.parent.parent.name))
    elif any(file_class(path.name) is FileClass.SAFETENSORS for path in source.iterdir()):
        yield planned(plan_directory(source), reference(source.resolve().name))
    else:
        raise UnsupportedFormat(
            f"{source} is nothing that models are imported from",
            hint="known are GGUF files, directories with safetensors, Hugging Face's cache,"
            " Ollama's and Docker Model Runner's stores",
        )


def _plan_file(path: Path) -> Plan:
    return plan_dduf(path) if file_class(path.name) is FileClass.DDUF else plan_gguf(path)


def _file_name(path: Path) -> Reference:
    shard = shard_of(path.name)
    return reference(shard.prefix if shard else path.stem)
