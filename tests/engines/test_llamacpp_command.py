"""Which program, which arguments and which environment: pure tables."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stoker.base.errors import InvalidSetting, NotInstalled, UnsupportedFormat
from stoker.engines.llamacpp import LlamaCpp
from stoker.engines.llamacpp_options import is_planned
from stoker.engines.llamacpp_program import Program, find_program
from stoker.planner.spec import Format, Mode, Offload, RunSettings
from tests.engines.conftest import spec_of

MODEL = replace(
    spec_of(Path("/models/m.gguf"), context_size=131072), weights_size=600 * 1024 * 1024
)
SOCKET = Path("/run/e.sock")


def arguments_of(
    settings: RunSettings | None = None,
    *,
    mode: Mode = Mode.COMPLETION,
    model: Path | None = None,
    chat_template: Path | None = None,
    mmproj: Path | None = None,
    context_size: int | None = 131072,
    threads: int | None = None,
) -> list[str]:
    spec = replace(MODEL, chat_template=chat_template, mmproj=mmproj, context_size=context_size)
    engine = LlamaCpp({"PATH": "/usr/bin"}, threads=threads)
    argv = engine.command(spec, mode, settings or RunSettings(), SOCKET).argv
    return list(argv[argv.index("--model") :])


def value_of(flag: str, arguments: list[str]) -> str:
    assert arguments.count(flag) == 1
    return arguments[arguments.index(flag) + 1]


def test_the_whole_vector() -> None:
    command = LlamaCpp({"PATH": "/usr/bin"}).command(
        MODEL, Mode.COMPLETION, RunSettings(runtime_flags=("--temp", "0.1")), SOCKET
    )
    assert command.argv[:2] == (sys.executable, "-I")
    assert command.argv[2].endswith("tether.py")
    assert command.argv[3].endswith("llamacpp_worker.py")
    assert command.argv[4:] == (
        "--model", "/models/m.gguf", "--host", "/run/e.sock", "--alias", "ai/tiny:latest",
        "--offline", "--no-webui", "--metrics", "--log-verbosity", "4",
        "--cache-ram", "256", "--ctx-size", "8192", "--jinja", "--temp", "0.1",
    )  # fmt: skip
    assert command.socket == SOCKET


@pytest.mark.parametrize(
    ("offload", "given"),
    [
        (None, []),
        (Offload(), ["--device", "none"]),
        (Offload((("CUDA1", 12),)), ["--device", "CUDA1", "--gpu-layers", "12"]),
        (
            Offload((("CUDA1", 20), ("CUDA0", 13)), host_experts=7),
            ["--device", "CUDA1,CUDA0", "--gpu-layers", "33", "--tensor-split", "20,13",
             "--n-cpu-moe", "7"],
        ),
    ],
)  # fmt: skip
def test_the_plan_is_what_the_engine_is_told(offload: Offload | None, given: list[str]) -> None:
    arguments = arguments_of(RunSettings(offload=offload))
    assert arguments[arguments.index("--ctx-size") + 2 : -1] == given  # before --jinja


def test_a_projector_stays_off_the_gpus_with_the_rest() -> None:
    file = Path("/models/p.gguf")
    assert "--no-mmproj-offload" in arguments_of(RunSettings(offload=Offload()), mmproj=file)
    there = RunSettings(offload=Offload((("CUDA0", 1),)))
    assert "--no-mmproj-offload" not in arguments_of(there, mmproj=file)


def test_the_users_own_placement_comes_last_and_wins() -> None:
    flags = ("--tensor-split", "1,1")
    assert not is_planned(RunSettings(runtime_flags=flags))
    assert is_planned(RunSettings(runtime_flags=("-ngl", "5", "-dev", "CUDA1")))


@pytest.mark.parametrize(
    ("asked", "of_the_model", "given"),
    [
        (None, 4096, "4096"),
        (None, 131072, "8192"),  # not gigabytes of cache that nobody asked for
        (None, None, "8192"),
        (65536, 131072, "65536"),
        (65536, None, "65536"),
        (-1, 131072, "0"),  # all the model was trained for, in llama.cpp's words
        (0, 4096, "4096"),  # DMR ignores 0
    ],
)
def test_context_size(asked: int | None, of_the_model: int | None, given: str) -> None:
    arguments = arguments_of(RunSettings(context_size=asked), context_size=of_the_model)
    assert value_of("--ctx-size", arguments) == given


def test_an_impossible_context_size() -> None:
    with pytest.raises(InvalidSetting, match="context size -2 is impossible"):
        arguments_of(RunSettings(context_size=-2))
    with pytest.raises(InvalidSetting, match="context size -2 is impossible"):
        LlamaCpp({}).check_settings(RunSettings(context_size=-2))


@pytest.mark.parametrize("flags", [("-c", "1e5"), ("--parallel=2.0",), ("-ngl", ".5")])
def test_counts_are_whole(flags: tuple[str, ...]) -> None:
    """llama.cpp stops at the first character that is no digit: it would run with another number."""
    with pytest.raises(InvalidSetting, match="wants a whole number"):
        LlamaCpp({}).check_settings(RunSettings(runtime_flags=flags))
    LlamaCpp({}).check_settings(RunSettings(runtime_flags=("-ngl", "all", "-c", "4096")))


def test_modes() -> None:
    assert "--embeddings" not in arguments_of()
    embedding = arguments_of(mode=Mode.EMBEDDING)
    assert "--embeddings" in embedding
    assert "--reranking" not in embedding
    assert "--jinja" not in embedding
    assert value_of("--ubatch-size", embedding) == "2048"
    reranking = arguments_of(mode=Mode.RERANKING)
    assert {"--embeddings", "--reranking"} <= set(reranking)


def test_a_template_only_where_there_is_chat() -> None:
    template = Path("/models/chat_template.jinja")
    assert value_of("--chat-template-file", arguments_of(chat_template=template)) == str(template)
    embedding = arguments_of(chat_template=template, mode=Mode.EMBEDDING)
    assert "--chat-template-file" not in embedding


def test_a_projector() -> None:
    arguments = arguments_of(mmproj=Path("/models/mmproj.gguf"))
    assert value_of("--mmproj", arguments) == "/models/mmproj.gguf"


def test_reasoning_budget_and_threads() -> None:
    arguments = arguments_of(RunSettings(reasoning_budget=0), threads=3)
    assert value_of("--reasoning-budget", arguments) == "0"
    assert value_of("--threads", arguments) == "3"
    assert not {"--reasoning-budget", "--threads"} & set(arguments_of())


def test_a_small_model_gets_one_thread() -> None:
    small = replace(MODEL, weights_size=6_000_000)
    argv = LlamaCpp({}, threads=3).command(small, Mode.COMPLETION, RunSettings(), SOCKET).argv
    assert value_of("--threads", list(argv)) == "1"


def test_the_users_flags_come_last() -> None:
    arguments = arguments_of(RunSettings(runtime_flags=("-c", "512", "-t", "1")), threads=8)
    assert arguments[-4:] == ["-c", "512", "-t", "1"]


def test_flags_are_checked() -> None:
    with pytest.raises(InvalidSetting, match=r'"--host" is not allowed for backend "llama\.cpp"'):
        arguments_of(RunSettings(runtime_flags=("--host", "0.0.0.0")))
    with pytest.raises(InvalidSetting, match="is not allowed"):
        LlamaCpp({}).check_settings(RunSettings(runtime_flags=("--host", "0.0.0.0")))


def test_another_format_names_who_reads_it() -> None:
    with pytest.raises(UnsupportedFormat, match=r"safetensors, not GGUF \(vllm runs safetensors\)"):
        LlamaCpp({}).command(
            replace(MODEL, format=Format.SAFETENSORS), Mode.COMPLETION, RunSettings(), SOCKET
        )
    with pytest.raises(UnsupportedFormat, match=r"it is dduf, not GGUF$"):
        LlamaCpp({}).command(
            replace(MODEL, format=Format.DDUF), Mode.COMPLETION, RunSettings(), SOCKET
        )


def test_the_environment_is_a_selection() -> None:
    kept = {
        "PATH": "/usr/bin",
        "HOME": "/home/u",
        "LD_LIBRARY_PATH": "/opt/cuda/lib64",
        "CUDA_VISIBLE_DEVICES": "1",
        "ROCR_VISIBLE_DEVICES": "0",
        "GGML_VK_VISIBLE_DEVICES": "0",
        "NVIDIA_VISIBLE_DEVICES": "all",
    }
    dropped = {
        "LLAMA_ARG_CTX_SIZE": "1",
        "LLAMA_API_KEY": "k",
        "HF_TOKEN": "t",
        "AWS_SECRET_ACCESS_KEY": "s",
        "PYTHONPATH": "/x",
        "XDG_CONFIG_HOME": "/home/u/.config",
    }
    command = LlamaCpp({**kept, **dropped}).command(MODEL, Mode.COMPLETION, RunSettings(), SOCKET)
    ours = {"XDG_CONFIG_HOME": os.devnull, "GGML_NO_BACKTRACE": "1"}
    assert dict(command.environment) == {**kept, **ours}


def _program(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    program = folder / "llama-server"
    program.write_text("#!/bin/sh\necho 'version: 6789 (abc)'\n")
    program.chmod(0o755)
    return program


def test_which_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    named, on_path = _program(tmp_path / "named"), _program(tmp_path / "bin")
    search = {"PATH": str(on_path.parent)}
    assert find_program(search) == Program("wheel")
    assert find_program({**search, "LLAMA_SERVER_PATH": str(named)}) == Program(
        "LLAMA_SERVER_PATH", named
    )
    folder = {**search, "LLAMA_SERVER_PATH": str(named.parent)}
    assert find_program(folder) == Program("LLAMA_SERVER_PATH", named)
    asked = {**search, "LLAMA_SERVER_PATH": "llama-server"}
    assert find_program(asked) == Program("LLAMA_SERVER_PATH", on_path)
    with pytest.raises(NotInstalled, match="LLAMA_SERVER_PATH=/nowhere is neither"):
        find_program({**search, "LLAMA_SERVER_PATH": "/nowhere"})
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    assert find_program(search) == Program("system", on_path)
    with pytest.raises(NotInstalled, match="found neither"):
        find_program({"PATH": "/nowhere"})


def test_which_build(tmp_path: Path) -> None:
    wheel = LlamaCpp({}).build()
    assert wheel
    assert wheel.source == "wheel"
    assert wheel.version.startswith("b1")
    native = LlamaCpp({"LLAMA_SERVER_PATH": str(_program(tmp_path / "n"))}).build()
    assert native
    assert (native.version, native.source) == ("b6789", "LLAMA_SERVER_PATH")
    assert LlamaCpp({"LLAMA_SERVER_PATH": "/nowhere"}).build() is None
