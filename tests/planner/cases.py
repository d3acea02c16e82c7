"""Models and options to estimate and then to measure on the real engine."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gguf import GGMLQuantizationType

from stoker.formats import facts_of_gguf, gguf_header, run
from stoker.formats.facts import ModelFacts
from stoker.planner.estimate import Estimate, estimate_llamacpp
from stoker.planner.options import Options
from tests.planner import shapes
from tests.planner.engine import Measured, measure
from tests.planner.shapes import Shape, Size, State

MIB = 1024 * 1024
ONE = Options(context=2048, slots=1, unified=False)
Q8_0, Q4_0 = GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q4_0


@dataclass(frozen=True, slots=True)
class Case:
    """A model and how it is run."""

    shape: Shape
    options: Options = ONE

    @property
    def label(self) -> str:
        chosen, words = self.options, [f"{self.options.context}"]
        words += [f"{chosen.slots} slots"] if chosen.slots > 1 else []
        words += ["unified"] if chosen.unified else []
        words += [] if chosen.flash_attention else ["no flash attention"]
        words += [f"{chosen.keys}/{chosen.values}"] if chosen.keys != "f16" else []
        words += [f"ubatch {chosen.micro_batch}"] if chosen.micro_batch != 512 else []
        return f"{self.shape.name} {', '.join(words)}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """MiB; the measured ones as logged, with two decimals."""

    case: Case
    estimate: Estimate
    measured: Measured

    @property
    def weights_error(self) -> float:
        return self.estimate.weights / MIB - self.measured.total("model")

    @property
    def cache_error(self) -> float:
        kept = self.measured.total("cache") + self.measured.total("state")
        return self.estimate.cache / MIB - kept

    @property
    def compute_error(self) -> float:
        return self.estimate.compute / MIB - self.measured.total("compute")

    @property
    def output_error(self) -> float:
        return self.estimate.output / MIB - self.measured.total("output")

    @property
    def log_rounding(self) -> float:
        """Each logged size may be off by half of its last digit."""
        buffers = len(self.measured.cache) + len(self.measured.state)
        # Caches of two kinds (windows) on one device are two lines of the log.
        return 0.005 * (2 * buffers + 1) + 1e-6


def read_facts(path: Path) -> ModelFacts:
    with path.open("rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        return facts_of_gguf(run(gguf_header(file_size=path.stat().st_size), read))


def flags_of(options: Options) -> list[str]:
    """llama-server's arguments for these options."""
    flags = ["-c", str(options.context), "-np", str(options.slots)]
    flags += ["-b", str(options.batch), "-ub", str(options.micro_batch)]
    flags += ["-ctk", options.keys, "-ctv", options.values]
    flags += ["-fa", "on" if options.flash_attention else "off"]
    flags += ["-kvu"] if options.unified else []
    flags += ["--swa-full"] if options.full_window else []
    # Repacked weights move from the mapped file to a buffer of their own size.
    return flags + (["--embedding"] if options.embeddings else []) + ["--no-repack"]


def try_case(case: Case, folder: Path) -> Outcome:
    """Estimate, then measure."""
    path = shapes.write(case.shape, folder)
    try:
        estimate = estimate_llamacpp(read_facts(path), case.options)
        return Outcome(case, estimate, measure(path, *flags_of(case.options)))
    finally:
        path.unlink()


SMALL = Size()
WIDE = Size(width=512, head=64, feed_forward=1024)
SCAN = State(state=64, rank=8)
FOUR = Options(context=8192, slots=4, unified=False)
SHARED = replace(FOUR, unified=True)
PLAIN = replace(ONE, flash_attention=False)


def families() -> list[Shape]:
    """One small model of every kind whose graph is modelled."""
    return [
        shapes.dense("llama", WIDE),
        shapes.dense("qwen3", WIDE, architecture="qwen3", norms=True, tied=True),
        shapes.experts("mixtral", SMALL, 8, 2, 256),
        shapes.experts("qwen3moe", SMALL, 16, 4, 128, architecture="qwen3moe"),
        shapes.gemma("gemma3", replace(SMALL, layers=7), 512),
        shapes.gemma("gemma2", SMALL, 512, architecture="gemma2"),
        shapes.gpt_oss("gpt-oss", SMALL, 128, 8, 2),
        shapes.latent("deepseek2", SMALL, rank=128, rope=32, nope=32, value=32),
        shapes.mamba("mamba", SMALL, State()),
        shapes.mamba2("mamba2", SMALL, SCAN),
        shapes.jamba("jamba", SMALL, State(), 2),
        shapes.granite_hybrid("granitehybrid", SMALL, SCAN, 2),
        shapes.falcon_h1("falcon-h1", SMALL, SCAN),
        shapes.lfm2("lfm2", SMALL, 2),
        shapes.phi3("phi3", SMALL),
        shapes.cohere2("cohere2", SMALL, 512),
        shapes.gpt2("gpt2", SMALL),
    ]


def approximated() -> list[Shape]:
    """Whose caches are computed, and whose graphs are not."""
    return [
        shapes.gated_delta("qwen35", SMALL, State(state=64, rank=8, inner=512, groups=4)),
        shapes.rwkv7("rwkv7", SMALL),
    ]


def quick_cases() -> list[Case]:
    """One of each kind, and each option once: what the tests run."""
    kinds = {shape.name: shape for shape in families()}
    return [
        Case(kinds["llama"], SHARED),
        Case(kinds["qwen3"], replace(FOUR, keys="q8_0", values="q4_0")),
        Case(kinds["mixtral"], PLAIN),
        Case(kinds["gemma3"], FOUR),
        Case(kinds["gpt-oss"], replace(ONE, micro_batch=256)),
        Case(kinds["deepseek2"], ONE),
        Case(kinds["mamba"], FOUR),
        Case(kinds["mamba2"], FOUR),
        Case(kinds["jamba"], ONE),
        Case(kinds["falcon-h1"], SHARED),
        Case(kinds["lfm2"], replace(ONE, context=5000, slots=3)),
        Case(shapes.bert("bert", SMALL), replace(ONE, embeddings=True, micro_batch=2048)),
    ]


def sweep_cases() -> Iterator[Case]:
    """Some hundred: what `bench/memory.py` runs."""
    for shape in families():
        for options in (ONE, PLAIN, FOUR, SHARED, replace(ONE, keys="q8_0", values="q8_0")):
            yield Case(shape, options)
    yield from _widths()
    yield from _caches()
    yield from _published()
    for shape in approximated():
        yield Case(shape)
        yield Case(shape, FOUR)
    yield Case(shapes.bert("bert", SMALL), replace(ONE, embeddings=True))
    yield Case(shapes.bert("bert-wide", WIDE), replace(ONE, embeddings=True, micro_batch=2048))


def _widths() -> Iterator[Case]:
    changes = (
        replace(WIDE, heads=1, kv_heads=1, head=128), replace(WIDE, heads=32, kv_heads=1),
        replace(WIDE, heads=16, kv_heads=16), replace(WIDE, feed_forward=128),
        replace(WIDE, feed_forward=8192), replace(WIDE, width=2048), replace(WIDE, layers=1),
        replace(WIDE, layers=40), replace(WIDE, vocabulary=150_000), replace(WIDE, head=192),
    )  # fmt: skip
    for number, size in enumerate(changes):
        yield Case(shapes.dense(f"llama-{number}", size))
        yield Case(shapes.dense(f"llama-{number}", size), PLAIN)


def _caches() -> Iterator[Case]:
    llama, gemma = (
        shapes.dense("llama", WIDE),
        shapes.gemma("gemma3", replace(WIDE, layers=12), 512),
    )
    for slots in (2, 3, 8):
        yield Case(llama, replace(ONE, context=5000, slots=slots))
        yield Case(gemma, replace(ONE, context=12_000, slots=slots, unified=True))
    for keys, values in (("q8_0", "q4_0"), ("q4_0", "q8_0"), ("q5_1", "q5_0"), ("f32", "bf16")):
        yield Case(llama, replace(ONE, keys=keys, values=values))
        yield Case(gemma, replace(ONE, context=4096, keys=keys, values=values))
    yield Case(gemma, replace(ONE, context=8192, full_window=True))
    yield Case(llama, replace(ONE, context=300))
    yield Case(llama, replace(ONE, micro_batch=64, batch=128))
    yield Case(llama, replace(ONE, micro_batch=2048))


def _published() -> Iterator[Case]:
    """Shapes of models people run, with few layers: the engine reads ahead in what it maps."""
    eight = Size(layers=6, width=4096, heads=32, kv_heads=8, head=128, feed_forward=14336,
                 vocabulary=128_256)  # fmt: skip
    yield Case(shapes.dense("llama-3-8b", eight, kind=Q8_0), replace(FOUR, unified=True))
    yield Case(shapes.dense("llama-3-8b-q4_0", eight, kind=Q4_0), PLAIN)
    small = Size(layers=8, width=1024, heads=16, kv_heads=8, head=128, feed_forward=3072,
                 vocabulary=151_936)  # fmt: skip
    yield Case(shapes.dense("qwen3-0.6b", small, architecture="qwen3", norms=True, tied=True), FOUR)
    wide = Size(layers=12, width=1152, heads=4, kv_heads=1, head=256, feed_forward=6912,
                vocabulary=262_144)  # fmt: skip
    yield Case(shapes.gemma("gemma-3-1b", wide, 512), replace(SHARED, context=32_768))
    moe = Size(layers=4, width=2048, heads=32, kv_heads=4, head=128, feed_forward=768,
               vocabulary=151_936)  # fmt: skip
    yield Case(shapes.experts("qwen3-30b-a3b", moe, 128, 8, 768, architecture="qwen3moe"), SHARED)
    deep = Size(layers=4, width=2048, heads=16, head=576, feed_forward=2816, vocabulary=102_400)
    yield Case(
        shapes.latent("deepseek-v2", deep, rank=512, rope=64, nope=128, value=128, query_rank=1536,
                      count=64, used=6), SHARED,
    )  # fmt: skip
