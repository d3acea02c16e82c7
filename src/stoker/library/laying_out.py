"""A model's files under their human names, and what an engine has to know of them."""

from collections.abc import Collection, Iterable
from pathlib import Path

from stoker.base.errors import UnsupportedFormat
from stoker.library.files import (
    ModelFile,
    Role,
    check_templates,
    files_of,
    format_of,
    unpacked_files,
)
from stoker.library.local import LocalModel
from stoker.oci.defaults import display_name
from stoker.planner.spec import Format, ModelSpec
from stoker.store import Store


def lay_out(store: Store, model: LocalModel) -> ModelSpec:
    """The model to run. Blocks.

    Raises UnsupportedFormat, ParseError, CorruptStore, StorageError.
    """
    layers = files_of(model.manifest)
    archives = [f.descriptor for f in layers if f.role is Role.ARCHIVE and f.descriptor]
    left_out = {Role.ARCHIVE, Role.UNUSED, *([] if model.trusted else [Role.CODE])}
    wanted = [f for f in layers if f.role not in left_out]
    placed = [(f.path, f.descriptor) for f in wanted if f.descriptor]
    view = store.view(model.id, placed, archives, code=model.trusted)
    files = (*wanted, *(_unpacked(view, {f.path for f in wanted}) if archives else ()))
    kind = format_of(files)
    if kind is None:
        raise UnsupportedFormat(
            f"{display_name(model.name)} has no weights that an engine here could read",
            hint="stoker inspect shows what it is made of",
        )
    check_templates(files)
    weights = [f for f in files if f.role is Role.WEIGHTS and f.format in (kind, None)]
    first = view / min(file.path for file in weights)
    mmproj = _first(view, files, Role.MMPROJ)
    return ModelSpec(
        id=model.id,
        name=model.name,
        format=kind,
        weights=first.parent if kind is Format.SAFETENSORS else first,
        weights_size=sum(file.size for file in weights),
        mmproj=mmproj,
        mmproj_size=mmproj.stat().st_size if mmproj else 0,
        chat_template=_first(view, files, Role.CHAT_TEMPLATE),
        context_size=model.config.context_size,
        architecture=model.config.architecture,
        code=bool(model.code),
        trusted=model.trusted,
    )


def _unpacked(view: Path, known: Collection[str]) -> tuple[ModelFile, ...]:
    """What came out of archives: all that is in the view and is no layer."""
    found = ((path.relative_to(view).as_posix(), path) for path in sorted(view.rglob("*")))
    return unpacked_files(
        (name, path.stat().st_size) for name, path in found if name not in known and path.is_file()
    )


def _first(view: Path, files: Iterable[ModelFile], role: Role) -> Path | None:
    """The file of that role nearest to the top."""
    paths = [file.path for file in files if file.role is role]
    return view / min(paths, key=lambda path: (path.count("/"), path)) if paths else None
