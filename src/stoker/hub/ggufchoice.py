"""Which quantization of a GGUF repository is meant. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from stoker.base.errors import ModelNotFound, UnsupportedFormat
from stoker.formats.quant import FileClass, file_class, is_projector, shard_of
from stoker.hub.wire import RepoFile

DEFAULT_QUANTIZATION: Final = "Q4_K_M"

PREFERENCE: Final = (
    DEFAULT_QUANTIZATION, "UD-Q4_K_XL", "Q4_K_XL", "Q4_K_L", "Q4_K_S", "MXFP4", "MXFP4_MOE",
    "Q4_0", "IQ4_NL", "IQ4_XS", "Q4_1", "Q5_K_M", "UD-Q5_K_XL", "Q5_K_S", "Q5_0", "Q5_1", "Q6_K",
    "Q8_0", "Q3_K_L", "Q3_K_M", "IQ3_M", "Q3_K_S", "BF16", "F16", "Q2_K", "IQ2_M", "F32",
)  # fmt: skip
"""What is taken when nothing was asked for: near four and a half bits, then better, then worse.

Docker Model Runner takes Q4_K_M, else the first name, which is Q2_K where there is one."""

ANY: Final = frozenset({"", "latest", "main"})
"""Tags that ask for no quantization in particular (Docker Model Runner's rule)."""

# In a file's name, between separators; a name can hold several, the last one counts.
_QUANTIZATION = re.compile(
    r"(?<![A-Za-z0-9])"
    r"((?:UD-)?(?:I?Q[1-8](?:_(?:[KSML01248]|NL|XXS|XS|XL|XXL))*|TQ[12]_0|MXFP4(?:_MOE)?|NVFP4"
    r"|BF16|FP?16|FP?32))"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)
# Statistics for making quantizations, and the tokenizers of llama.cpp's tests: no models.
_NO_MODEL = re.compile(r"imatrix|(?:^|/)ggml-vocab-", re.IGNORECASE)
_MAX_LISTED: Final = 40


@dataclass(frozen=True, slots=True)
class Variant:
    """One GGUF model of a repository, with all its shards in order."""

    files: tuple[RepoFile, ...]
    quantization: str
    missing: int = 0
    """Shards that its name promises and the repository lacks."""

    @property
    def stem(self) -> str:
        """The path without shard number and ending."""
        return _stem(self.files[0].path)

    @property
    def family(self) -> str:
        """Its file's name without the quantization: the same of all variants of one model."""
        name = self.stem.rpartition("/")[2]
        return name.upper().replace(self.quantization, "") if self.quantization else name.upper()


def variants_of(files: Iterable[RepoFile]) -> tuple[Variant, ...]:
    """All models among the files, in the order of their names; projectors are none."""
    sets: dict[tuple[str, int, str], list[RepoFile]] = {}
    for file in sorted(files, key=lambda f: f.path):
        if _is_model(file.path):
            shard = shard_of(file.path)
            key = (shard.prefix, shard.count, shard.kind) if shard else (file.path, 1, "")
            sets.setdefault(key, []).append(file)
    return tuple(
        Variant(tuple(found), quantization_of(found[0].path), count - len(found))
        for (_, count, _), found in sets.items()
    )


def choose_variant(
    variants: Sequence[Variant], selection: str, repository: str
) -> tuple[Variant, str]:
    """The variant asked for, and the line that says so.

    Raises ModelNotFound for a quantization that is not there, naming those that are, and
    UnsupportedFormat when shards are missing.
    """
    if selection.lower() in ANY:
        chosen, note = _default(variants)
    else:
        matching = [v for v in variants if matches(v.files[0].path, selection)]
        if not matching and len(variants) == 1 and not variants[0].quantization:
            # Its name says nothing, so it may well be the one; there is no other.
            matching = list(variants)
        if not matching:
            raise ModelNotFound(
                f"{repository} has no quantization {selection!a}; it has {listed(variants)}",
                hint="choose one of them, or leave the tag out for the default",
            )
        # `Q4_K_M` also fits `UD-Q4_K_M`, `Q4` fits five kinds, and a collection has several models.
        chosen = min(matching, key=lambda v: (v.quantization != selection.upper(), _rank(v)))
        note = f"Selected {chosen.quantization or selection} quantization"
        if len(matching) > 1:
            note += f" ({chosen.stem.rpartition('/')[2]}; {len(matching)} fit)"
    if chosen.missing:
        raise UnsupportedFormat(
            f"{repository}: {chosen.files[0].path!a} is one of a set of shards, and"
            f" {chosen.missing} of them are not in the repository",
            hint="the upload may be under way; try again later, or choose another quantization",
        )
    return chosen, note


def choose_projector(files: Iterable[RepoFile], beside: Variant) -> RepoFile | None:
    """The image or audio part that goes with a model: of its own folder, f16 preferred."""
    found = [file for file in files if is_projector(file.path)]
    folder = beside.files[0].folder
    near = [file for file in found if file.folder == folder]
    top = [file for file in found if not file.folder]
    # As in Docker Model Runner f16; but there `bf16` also counts, which needs newer hardware.
    order = ("F16", "FP16", "BF16", "F32", "FP32", "Q8_0")

    def rank(file: RepoFile) -> tuple[int, str]:
        kind = quantization_of(file.path)
        return (order.index(kind) if kind in order else len(order), file.path)

    return min(near or top or found, key=rank, default=None)


def quantization_of(path: str) -> str:
    """`Q4_K_M` out of a path, upper case; from the name, else from the folders; else empty."""
    for part in reversed(_stem(path).split("/")):
        found = _QUANTIZATION.findall(part)
        if found:
            return str(found[-1]).upper()
    return ""


def matches(path: str, selection: str) -> bool:
    """Whether a tag means this file, as Docker Model Runner decides it.

    Case does not count; the tag must stand between separators (`-`, `.`, `_`, and here also `/`,
    since large models have a folder for each quantization). The file's own name fits as well.
    """
    name = path.rpartition("/")[2].lower()
    wanted = selection.lower()
    if wanted in {name, name.removesuffix(".gguf")}:
        return True
    stem = _stem(path).lower()
    return bool(re.search(rf"(?:^|[-._/]){re.escape(wanted)}(?:$|[-._/])", stem))


def listed(variants: Iterable[Variant]) -> str:
    """The quantizations there are, for a message."""
    names = list(dict.fromkeys(v.quantization or v.stem for v in variants))
    shown = ", ".join(ascii(name)[1:-1] for name in names[:_MAX_LISTED])
    return shown if len(names) <= _MAX_LISTED else f"{shown}, …"


def _default(variants: Sequence[Variant]) -> tuple[Variant, str]:
    chosen = min(variants, key=_rank)
    name = chosen.quantization or chosen.stem.rpartition("/")[2]
    if chosen.quantization == DEFAULT_QUANTIZATION:
        return chosen, f"Selected {name} quantization (default)"
    if len(variants) == 1:
        return chosen, f"Selected {name} quantization (the only one)"
    others = listed(v for v in variants if v is not chosen)
    return chosen, f"Selected {name} quantization (no {DEFAULT_QUANTIZATION} here; also: {others})"


def _rank(variant: Variant) -> tuple[bool, int, int, str]:
    """Smaller is better: whole, preferred, plainly named."""
    kind = variant.quantization.replace("FP", "F")
    place = PREFERENCE.index(kind) if kind in PREFERENCE else len(PREFERENCE)
    return (variant.missing > 0, place, len(variant.stem), variant.stem)


def _is_model(path: str) -> bool:
    return (
        file_class(path) is FileClass.GGUF and not is_projector(path) and not _NO_MODEL.search(path)
    )


def _stem(path: str) -> str:
    shard = shard_of(path)
    if shard:
        return shard.prefix
    return path[: -len(".gguf")] if path.lower().endswith(".gguf") else path
