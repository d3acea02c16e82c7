"""Which files of a repository make the model that was asked for. Pure."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from stoker.base.errors import InvalidReference, UnsupportedFormat
from stoker.formats.index import INDEX
from stoker.formats.quant import FileClass, file_class, shard_of
from stoker.hub.ggufchoice import ANY, choose_projector, choose_variant, variants_of
from stoker.hub.wire import RepoFile
from stoker.oci import mediatypes as mt

# Files that a tokenizer needs and that `file_class` does not know by their ending.
_TOKENIZER_SUFFIXES: Final = (".tiktoken", ".model", ".bpe")
# JSON and text that no engine reads; some of it is large.
_IGNORED = re.compile(
    r"trainer_state\.json|training_args.*|.*_results\.json|requirements.*\.txt|.*\.index\.json"
    r"|.*\.index\.[a-z0-9]+\.json|model_index\.json|.*\.md|.*\.onnx.*|optimizer.*|scheduler.*",
    re.IGNORECASE,
)
# `model.fp16.safetensors`, `model.fp16-00001-of-00002.safetensors`: the same weights once more.
_COPY = re.compile(r"\.(?:fp16|bf16|fp32|non_ema)[.-]", re.IGNORECASE)
# Modules of sentence-transformers (`1_Pooling/config.json`, `2_Dense/model.safetensors`) and the
# templates of tokenizers that have several. Every other folder repeats the model in another form
# (`original/`, `onnx/`, `openvino/`, `metal/`) or is no part of it.
_FOLDERS = re.compile(r"\d{1,2}_[A-Za-z]+|additional_chat_templates")
_PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".h5", ".msgpack")
_ADAPTER: Final = "adapter_model.safetensors"
_MAX_LISTED: Final = 12


@dataclass(frozen=True, slots=True)
class Chosen:
    """A file and what it is in the artifact."""

    file: RepoFile
    media_type: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The files of one model, weights first and in order; `notes` are lines for the user."""

    format: FileClass
    files: tuple[Chosen, ...]
    notes: tuple[str, ...] = ()

    @property
    def weights(self) -> tuple[RepoFile, ...]:
        """The files that have the header to read."""
        kinds = (mt.DOCKER_GGUF, mt.DOCKER_SAFETENSORS)
        return tuple(c.file for c in self.files if c.media_type in kinds and not self._extra(c))

    def find(self, path: str) -> RepoFile | None:
        """A chosen file by its path."""
        return next((c.file for c in self.files if c.file.path == path), None)

    def _extra(self, chosen: Chosen) -> bool:
        # `2_Dense/model.safetensors` belongs to the model but is not what describes it.
        return self.format is FileClass.SAFETENSORS and bool(chosen.file.folder)


def select(
    files: Sequence[RepoFile],
    selection: str | None,
    *,
    repository: str,
    indexed: Sequence[str] = (),
) -> Selection:
    """The files to pull. `indexed` are the weights that `INDEX` names, when there is one.

    GGUF is taken where a repository has both. Raises UnsupportedFormat when nothing is usable,
    ModelNotFound for a quantization that is not there, InvalidReference for a tag that cannot mean
    anything in this repository.
    """
    wanted = selection or ""
    variants = variants_of(files)
    if variants:
        variant, note = choose_variant(variants, wanted, repository)
        chosen = [Chosen(file, mt.DOCKER_GGUF) for file in variant.files]
        projector = choose_projector(files, variant)
        if projector:
            chosen.append(Chosen(projector, mt.DOCKER_MMPROJ))
        chosen += _beside_gguf(files)
        return _selection(FileClass.GGUF, chosen, (note,), repository)
    weights = _safetensors(files, indexed, repository)
    if wanted.lower() not in ANY:
        raise InvalidReference(
            f"{repository} has no GGUF files, so there is no quantization {wanted!a} to choose",
            hint=f"leave the tag out to pull its safetensors: hf.co/{repository}",
        )
    chosen = [Chosen(file, mt.DOCKER_SAFETENSORS) for file in weights]
    # An index of other files was left over when the weights were merged; vLLM would look for them.
    left_over = bool(indexed) and not {file.path for file in weights} >= set(indexed)
    chosen += [c for c in _beside_safetensors(files) if not (left_over and c.file.path == INDEX)]
    return _selection(FileClass.SAFETENSORS, chosen, (), repository)


def _selection(
    kind: FileClass, chosen: Sequence[Chosen], notes: tuple[str, ...], repository: str
) -> Selection:
    _check_paths((c.file for c in chosen), repository)
    total = sum(c.file.size for c in chosen)
    # Docker Model Runner's words; its MB has 2^20 bytes.
    found = f"Found {len(chosen)} files ({total / (1 << 20):.2f} MB total)"
    return Selection(kind, tuple(chosen), (*notes, found))


def _beside_gguf(files: Iterable[RepoFile]) -> list[Chosen]:
    """A chat template kept as a file, and the licence. The rest is inside the GGUF."""
    top = sorted((f for f in files if not f.folder and f.size), key=lambda f: f.path)
    templates = [f for f in top if f.name.lower().endswith(".jinja")]
    # Docker Model Runner would also take tokenizer_config.json for a template; it is none.
    plain = [f for f in templates if f.name == "chat_template.jinja"] or templates
    chosen = [Chosen(f, mt.DOCKER_CHAT_TEMPLATE) for f in plain[:1]]
    return chosen + [
        Chosen(f, mt.DOCKER_LICENSE) for f in top if file_class(f.name) is FileClass.LICENSE
    ]


def _safetensors(
    files: Sequence[RepoFile], indexed: Sequence[str], repository: str
) -> list[RepoFile]:
    """The weights: what the index names, else `model`, else the only set there is."""
    top = {f.name: f for f in files if not f.folder and file_class(f.name) is FileClass.SAFETENSORS}
    if indexed:
        missing = [name for name in indexed if name not in top]
        if not missing:
            return [top[name] for name in indexed]
        if "model.safetensors" not in top:
            raise UnsupportedFormat(
                f"{repository}: {INDEX} names {missing[0]!a}, which is not in the repository",
                hint="the upload may be under way; try again later",
            )
    if "model.safetensors" in top:
        return [top["model.safetensors"]]
    sets = _complete_sets(top)
    if _ADAPTER in top and len(sets) == 1:
        raise UnsupportedFormat(
            f"{repository} is an adapter (LoRA) for another model, not a model",
            hint="pull a repository in which it is merged with its base model",
        )
    named = [names for names in sets if names[0].startswith("model-")]
    choice = named or sets
    if len(choice) != 1:
        raise _unusable(files, repository, independent=len(choice))
    return [top[name] for name in choice[0]]


def _complete_sets(top: dict[str, RepoFile]) -> list[list[str]]:
    """Weight files by the set that their names put them in, incomplete sets left out."""
    sets: dict[tuple[str, int], list[str]] = {}
    for name in sorted(top):
        shard = shard_of(name)
        sets.setdefault((shard.prefix, shard.count) if shard else (name, 1), []).append(name)
    whole = [names for (_, count), names in sets.items() if len(names) == count]
    return [names for names in whole if not _COPY.search(names[0])] or whole


def _beside_safetensors(files: Iterable[RepoFile]) -> list[Chosen]:
    chosen = []
    for file in sorted(files, key=lambda f: (f.folder != "", f.path)):
        if file.folder and not _FOLDERS.fullmatch(file.folder):
            continue
        kind = _kind(file)
        if kind and file.size:
            chosen.append(Chosen(file, kind))
    return chosen


def _kind(file: RepoFile) -> str | None:
    """The media type of a file beside the weights; None: it is left where it is.

    Only what is known to be data is taken: code (`.py`) and pickles, which are code too, never are
    (security row 7).
    """
    lower = file.name.lower()
    kind = file_class(file.name)
    if lower.endswith((*_PICKLES, ".py")):
        return None
    if kind is FileClass.SAFETENSORS:
        return mt.DOCKER_SAFETENSORS if file.folder else None  # those at the top were chosen
    if kind is FileClass.LICENSE:
        return mt.DOCKER_LICENSE
    if lower == INDEX:
        return mt.DOCKER_MODEL_FILE
    if _IGNORED.fullmatch(lower):
        return None
    if kind is FileClass.CHAT_TEMPLATE:
        is_template = lower.endswith(".jinja") and not file.folder
        return mt.DOCKER_CHAT_TEMPLATE if is_template else mt.DOCKER_MODEL_FILE
    if kind is FileClass.CONFIG or lower.endswith(_TOKENIZER_SUFFIXES):
        return mt.DOCKER_MODEL_FILE
    return None


def _check_paths(files: Iterable[RepoFile], repository: str) -> None:
    """The hub's paths become file names here: none may lead elsewhere (security row 1)."""
    for file in files:
        parts = file.path.split("/")
        plain = file.path.isprintable() and "\\" not in file.path and ":" not in file.path
        if not plain or any(part.strip(". ") == "" for part in parts):
            shown = ascii(file.path if len(file.path) <= 100 else f"{file.path[:97]}...")
            raise UnsupportedFormat(f"refused: {repository} has a file named {shown}")


def _unusable(files: Sequence[RepoFile], repository: str, *, independent: int) -> UnsupportedFormat:
    large = sorted(files, key=lambda f: -f.size)
    shown = ", ".join(ascii(f.path)[1:-1] for f in large[:_MAX_LISTED])
    if len(large) > _MAX_LISTED:
        shown += f" and {len(large) - _MAX_LISTED} more"
    if independent > 1:
        why = f"{independent} weight files that do not belong together"
        hint = "such collections are not models that an engine can load"
    elif any(f.name.lower().endswith(_PICKLES) for f in files):
        why = "no GGUF or safetensors weights, only formats that can run code when loaded"
        hint = f"look for a conversion: stoker search {repository.rpartition('/')[2]}"
    else:
        why = "no model weights (GGUF or safetensors) that can be used"
        hint = "look for a repository of the same model with GGUF or safetensors files"
    return UnsupportedFormat(f"{repository} has {why}; it has {shown or 'no files'}", hint=hint)
