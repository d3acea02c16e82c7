"""Smaller weights from a GGUF file, made by llama.cpp's own `llama-quantize`."""

import re
import shutil
import subprocess
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from stoker.base.errors import EngineError, InvalidSetting, StorageError, UnsupportedFormat
from stoker.base.units import binary_size
from stoker.formats.quant import TENSOR_TYPES, shard_names, shard_of
from stoker.store.headers import read_gguf

LEVELS: Final = (
    "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "IQ4_XS", "IQ4_NL", "Q4_0", "Q4_1", "Q4_K_S", "Q4_K_M",
    "Q5_0", "Q5_1", "Q5_K_S", "Q5_K_M", "Q6_K", "Q8_0", "BF16", "F16",
)  # fmt: skip
"""From small to large. The others of llama.cpp need a matrix of importances, which nobody has at
hand."""

_WHOLE: Final = frozenset({"F32", "F16", "BF16"})
_SUPERBLOCK: Final = 256
_BLOCK: Final = 32
_TENSOR: Final = re.compile(r"^\[ *\d+/ *\d+\].*?\bsize = +([\d.]+) MiB")
_FALLBACK: Final = re.compile(r"(\d+) of \d+ tensor\(s\) required fallback quantization")
_REASON: Final = re.compile(r"failed to quantize: (.*)|^error: (.*)|llama_model_load: error (.*)")
_PRECISION: Final = re.compile(r"(?<![a-z0-9])(?:bf16|fp?16|fp?32)(?![a-z0-9])", re.IGNORECASE)
_TAIL: Final = 20
_MIB: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Quantization:
    """What is to be done. `weights`: bytes of the source's tensors; `size`: what may come out."""

    source: Path
    level: str
    weights: int
    size: int


def plan_quantization(source: Path, level: str) -> Quantization:
    """Check it by headers alone. `source` is a model's only file or its first shard.

    Raises InvalidSetting for an unknown level, UnsupportedFormat for a source that is quantized or
    has no row that the level can hold, and as `read_gguf`.
    """
    level = level.upper()
    if level not in LEVELS:
        raise InvalidSetting(f"unknown quantization {level!r}", hint=f"one of {', '.join(LEVELS)}")
    tensors = [
        tensor
        for name in shard_names(source.name)
        for tensor in read_gguf(source.with_name(name)).tensors
    ]
    quantized = sorted({tensor.type.name for tensor in tensors} - _WHOLE)
    if quantized:
        raise UnsupportedFormat(
            f"{source} is quantized already ({', '.join(quantized)}): what that lost would be lost"
            " twice",
            hint="begin with the F16 or BF16 version of the model",
        )
    rows = {tensor.shape[0] for tensor in tensors if len(tensor.shape) > 1}
    block = _block(level)
    if rows and all(row % block for row in rows):
        fitting = [name for name in LEVELS if any(row % _block(name) == 0 for row in rows)]
        raise UnsupportedFormat(
            f"{source} cannot be {level}: that needs rows of a multiple of {block} numbers, and it"
            f" has rows of {', '.join(map(str, sorted(rows)))}",
            hint=f"these fit: {', '.join(fitting)}",
        )
    weights = sum(tensor.size for tensor in tensors)
    elements = sum(tensor.elements for tensor in tensors)
    return Quantization(source, level, weights, int(elements * _bits(level) / 8))


def quantized_name(source: str, level: str) -> str:
    """`model-F16.gguf` becomes `model-Q4_K_M.gguf`; a name without a precision gets the level."""
    shard = shard_of(source)
    stem = shard.prefix if shard else source.removesuffix(".gguf")
    found = list(_PRECISION.finditer(stem))
    if not found:
        return f"{stem}-{level}.gguf"
    last = found[-1]
    return f"{stem[: last.start()]}{level}{stem[last.end() :]}.gguf"


def quantize(
    program: Path, plan: Quantization, target: Path, *, done: Callable[[int], None]
) -> tuple[str, ...]:
    """Write the smaller file, and say what is remarkable about it.

    `program` is a `llama-quantize`; `done` hears how many bytes of the source are done with. On
    failure nothing is left at `target`. Raises EngineError, StorageError.
    """
    free = shutil.disk_usage(target.parent).free
    if free < plan.size:
        raise StorageError(
            f"{plan.level} of {plan.source.name} takes about {binary_size(plan.size)} in"
            f" {target.parent}, {binary_size(free)} are free",
            hint="make room there, or move Stoker's data with STOKER_HOME",
        )
    tail: deque[str] = deque(maxlen=_TAIL)
    fallbacks, left = 0, plan.weights

    def heard(line: str) -> None:
        nonlocal fallbacks, left
        tail.append(line)
        if tensor := _TENSOR.search(line):
            # Sizes come rounded; together they must not be more than there is.
            size = min(int(float(tensor[1]) * _MIB), left)
            left -= size
            done(size)
        elif fallback := _FALLBACK.search(line):
            fallbacks = int(fallback[1])

    try:
        # Absolute: a name that begins with a dash would be a flag.
        source = str(plan.source.absolute())
        code = _run([str(program), source, str(target), plan.level], heard)
        if code:
            _fail(plan, code, tuple(tail), target)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    kept = f"{fallbacks} tensors have rows that {plan.level} cannot hold; they stay more precise"
    return (kept,) if fallbacks else ()


def _run(argv: list[str], heard: Callable[[str], None]) -> int:
    """A program to its end, which an exception hastens; its exit code. Raises EngineError."""
    try:
        child = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace",
        )  # fmt: skip
    except OSError as error:
        raise EngineError(f"{argv[0]} cannot be run: {error.strerror}", engine="quantizer") from (
            error
        )
    with child:
        try:
            for line in child.stdout or ():
                heard(line.rstrip())
        except BaseException:
            child.kill()
            raise
    return child.returncode


def _fail(plan: Quantization, code: int, tail: tuple[str, ...], target: Path) -> NoReturn:
    said = next((match for line in tail if (match := _REASON.search(line))), None)
    reason = next(filter(None, said.groups())) if said else ""
    if "iostream error" in reason:  # all that C++ says about a disk that takes no more
        free = shutil.disk_usage(target.parent).free
        raise StorageError(
            f"cannot write {target}: is the disk full? ({binary_size(free)} are free)",
            hint="make room there, or move Stoker's data with STOKER_HOME",
        )
    why = reason or (tail[-1] if tail else f"exit code {code}")
    raise EngineError(
        f"{plan.source.name} could not be quantized: {why}",
        engine="quantizer",
        log_tail=tail,
        hint="a model newer than the quantizer? a newer llama-quantize on PATH is used instead",
    )


def _block(level: str) -> int:
    """How many numbers share a scale; rows are whole multiples of it."""
    if level in _WHOLE:
        return 1
    return _SUPERBLOCK if "K" in level or level == "IQ4_XS" else _BLOCK


def _bits(level: str) -> float:
    """Of one weight; mixed levels hold some tensors in the next larger type."""
    kind = level.removesuffix("_S").removesuffix("_M").removesuffix("_L")
    mixed = 1.15 if kind.endswith("_K") else 1.0
    return mixed * next(one.bits_per_weight for one in TENSOR_TYPES.values() if one.name == kind)
