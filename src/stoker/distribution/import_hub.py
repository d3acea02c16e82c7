"""Models in the Hugging Face cache: models--org--name/{refs,snapshots/<commit>,blobs}."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from stoker.base.errors import InvalidReference
from stoker.distribution.found import Found, Unusable, each, planned, read, reference
from stoker.distribution.package import Extras, with_extras
from stoker.distribution.package_directory import plan_directory
from stoker.distribution.package_gguf import plan_gguf
from stoker.formats import FileClass, file_class, is_projector, shard_of
from stoker.oci.reference import HUB_REGISTRY, Reference, parse_reference

PREFIX: Final = "models--"


def hub_name(folder: str) -> str:
    return folder.removeprefix(PREFIX).replace("--", "/", 1)


def hub_repository(folder: Path) -> Iterator[Found | Unusable]:
    snapshots = folder / "snapshots"
    if not snapshots.is_dir():
        return
    main = folder / "refs" / "main"
    commit = read(main).decode("ascii", "replace").strip() if main.is_file() else ""
    chosen = snapshots / commit if commit and "/" not in commit else None
    if chosen is None or not chosen.is_dir():
        there = (path for path in snapshots.iterdir() if path.is_dir())
        chosen = max(there, key=lambda path: path.stat().st_mtime, default=None)
    if chosen is not None:
        yield from hub_snapshot(chosen, hub_name(folder.name))


def hub_snapshot(folder: Path, name: str) -> Iterator[Found | Unusable]:
    # A download cut short leaves links to nothing.
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    classes = {file_class(path.name) for path in files}
    if FileClass.SAFETENSORS in classes and FileClass.GGUF not in classes:
        yield planned(plan_directory(folder, inside=folder.parent.parent), _hub_reference(name, ""))
        return
    projectors = sorted(path for path in files if is_projector(path.name))
    ggufs = [path for path in files if file_class(path.name) is FileClass.GGUF]
    firsts = [path for path in ggufs if path not in projectors and _is_first(path)]
    extras = Extras(mmproj=projectors[0] if projectors else None)

    def model(first: Path) -> Iterator[Found]:
        plan = with_extras(plan_gguf(first), extras)
        tag = plan.config.quantization if len(firsts) > 1 else ""
        yield planned(plan, _hub_reference(name, tag))

    models = [*each(firsts, model)]
    names = [one.name for one in models if isinstance(one, Found)]
    for first, one in zip(firsts, models, strict=True):
        if isinstance(one, Found) and names.count(one.name) > 1:
            # Of one quantization there may be several; their own names tell them apart.
            own = _hub_reference(name, _own_name(first.relative_to(folder)))
            yield replace(one, name=own)
        else:
            yield one


def _own_name(path: Path) -> str:
    shard = shard_of(path.name)
    return path.with_name(shard.prefix if shard else path.stem).as_posix()


def _is_first(path: Path) -> bool:
    shard = shard_of(path.name)
    return shard is None or shard.number == 1


def _hub_reference(name: str, tag: str) -> Reference:
    tag = "".join(c if c.isalnum() or c in "._-" else "-" for c in tag)
    try:
        return parse_reference(f"{HUB_REGISTRY}/{name}{f':{tag}' if tag else ''}")
    except InvalidReference:
        return reference(name, tag)
