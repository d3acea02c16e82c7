"""Models in the Hugging Face cache: models--org--name/{refs,snapshots/<commit>,blobs}."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from stoker.base.errors import InvalidReference
from stoker.distribution.found import Found, planned, read, reference
from stoker.distribution.package import Extras, with_extras
from stoker.distribution.package_directory import plan_directory
from stoker.distribution.package_gguf import plan_gguf
from stoker.formats import FileClass, file_class, is_projector, shard_of
from stoker.oci.reference import HUB_REGISTRY, Reference, parse_reference

PREFIX: Final = "models--"


def hub_name(folder: str) -> str:
    return folder.removeprefix(PREFIX).replace("--", "/", 1)


def hub_repository(folder: Path) -> Iterator[Found]:
    snapshots = folder / "snapshots"
    if not snapshots.is_dir():
        return
    main = folder / "refs" / "main"
    commit = read(main).decode("ascii", "replace").strip() if main.is_file() else ""
    chosen = snapshots / commit if commit and "/" not in commit else None
    if chosen is None or not chosen.is_dir():
        chosen = max(snapshots.iterdir(), key=lambda path: path.stat().st_mtime, default=None)
    if chosen is not None:
        yield from hub_snapshot(chosen, hub_name(folder.name))


def hub_snapshot(folder: Path, name: str) -> Iterator[Found]:
    # A download cut short leaves links to nothing.
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    classes = {file_class(path.name) for path in files}
    if FileClass.SAFETENSORS in classes and FileClass.GGUF not in classes:
        yield planned(plan_directory(folder, inside=folder.parent.parent), _hub_reference(name, ""))
        return
    projectors = sorted(path for path in files if is_projector(path.name))
    ggufs = [path for path in files if file_class(path.name) is FileClass.GGUF]
    firsts = [path for path in ggufs if path not in projectors and _is_first(path)]
    for first in firsts:
        plan = plan_gguf(first)
        if projectors:
            plan = with_extras(plan, Extras(mmproj=projectors[0]))
        tag = plan.config.quantization if len(firsts) > 1 else ""
        yield planned(plan, _hub_reference(name, tag))


def _is_first(path: Path) -> bool:
    shard = shard_of(path.name)
    return shard is None or shard.number == 1


def _hub_reference(name: str, tag: str) -> Reference:
    tag = "".join(c if c.isalnum() or c in "._-" else "-" for c in tag)
    try:
        return parse_reference(f"{HUB_REGISTRY}/{name}{f':{tag}' if tag else ''}")
    except InvalidReference:
        return reference(name, tag)
