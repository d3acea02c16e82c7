"""Why vLLM failed: from its exit code and its last lines to one sentence for the user.

vLLM writes long tracebacks of several processes; what tells is in a line with `Error:`, and the
first cause often stands far above the last line. Patterns are words of vLLM 0.32 (real runs) or,
for GPUs, of its sources; what none of them knows is shown as the last error line.
"""

import re
import signal
from collections.abc import Sequence
from typing import Final

from stoker.engines.signs import sign
from stoker.engines.spec import Diagnosis, Reason

_AGAIN: Final = "remove the model and pull it again"
_SETTINGS: Final = "see the model's settings: stoker configure show"
_SMALLER: Final = "use a smaller context size or a smaller model, or unload other models"
_REINSTALL: Final = "stoker reinstall-runner --backend vllm"


_SIGNS: Final = (
    # The first that is found anywhere wins: causes stand before what follows from them.
    sign(
        r"CUDA driver version is insufficient|driver on your system is too old",
        Reason.BROKEN_ENGINE,
        "the NVIDIA driver is too old for this vLLM",
        "update the driver (nvidia-smi shows its version), or use --gpu none",
    ),
    sign(
        # What PyTorch appends to CUDA's own words, in cudaGetDeviceCount and elsewhere.
        r"Error 304: OS call failed",
        Reason.BROKEN_ENGINE,
        "the NVIDIA driver was refused something of this system",
        "root's vLLM is confined more than the driver bears: run Stoker as another user, or with"
        " STOKER_CONFINE_ENGINES=no",
    ),
    sign(
        r"No CUDA GPUs are available|no NVIDIA driver|Found no NVIDIA|Failed to infer device type"
        r"|NVMLError_(?:LibraryNotFound|DriverNotLoaded)",
        Reason.BROKEN_ENGINE,
        "vLLM finds no GPU that it can use",
        "nvidia-smi must list one; without a GPU: stoker install-runner --backend vllm --gpu none",
    ),
    sign(
        r"CUDA out of memory|OutOfMemoryError|CUDA error: out of memory",
        Reason.OUT_OF_MEMORY,
        "not enough GPU memory to load the model",
        _SMALLER,
    ),
    sign(
        r"Free memory on device .*is less than desired GPU memory utilization",
        Reason.OUT_OF_MEMORY,
        "less GPU memory is free than gpu_memory_utilization asks for",
        "unload other models, or set a smaller gpu_memory_utilization",
    ),
    sign(
        r"No available memory for the cache blocks|larger than the available KV cache memory"
        r"|(?:Available|available KV cache) memory.* (?:is less than|smaller than)",
        Reason.OUT_OF_MEMORY,
        "not enough memory for the context of even one request",
        "use a smaller context size: stoker configure --context-size",
    ),
    sign(
        r"Model architectures \['?([^\]']*)'?.*\] (?:are not supported|failed to be inspected)",
        Reason.UNSUPPORTED_ARCHITECTURE,
        "vLLM does not know the architecture {0}",
    ),
    sign(
        r"model type [`'](\w+)[`'] but Transformers does not recognize",
        Reason.UNSUPPORTED_ARCHITECTURE,
        "vLLM does not know models of type {0}",
    ),
    sign(
        # Not the bare word: every start logs all settings, trust_remote_code=False among them.
        r"trust[-_]remote[-_]code[=` ]*True|contains custom code which must be executed",
        Reason.NEEDS_CODE,
        "it needs Python code of its own, which runs only with your consent",
        "choose a version of the model that vLLM supports by itself",
    ),
    sign(
        r"max_model_len \((\d+)\) is greater than the derived max_model_len \(\D*(\d+)",
        Reason.BAD_ARGUMENTS,
        "a context of {0} tokens is more than the model's {1}",
        "stoker configure --context-size with at most that many",
    ),
    sign(
        r"(?:attention heads|vocab size|hidden size)\D*\((\d+)\) must be divisible by"
        r" (?:tensor parallel size|tp_size)\D*\((\d+)\)",
        Reason.BAD_ARGUMENTS,
        "the model's {0} parts cannot be divided among {1} devices",
        _SETTINGS,
    ),
    sign(
        r"World size \((\d+)\) is larger than the number of available GPUs \((\d+)\)",
        Reason.BAD_ARGUMENTS,
        "{0} GPUs are asked for, {1} are there",
        _SETTINGS,
    ),
    sign(
        r"error: (unrecognized arguments: .*|argument [^:]+: .*)",
        Reason.BAD_ARGUMENTS,
        "vLLM refuses its arguments: {0}",
        _SETTINGS,
    ),
    sign(
        r"invalid (?:tool call|reasoning) parser: (\S+)",
        Reason.BAD_ARGUMENTS,
        "vLLM has no parser called {0}",
        _SETTINGS,
    ),
    sign(
        r"InvalidCxxCompiler",
        Reason.BROKEN_ENGINE,
        "there is no C++ compiler to compile the model with",
        "install g++, or: stoker configure MODEL -- --enforce-eager",
    ),
    sign(
        r"not a valid JSON file|JSONDecodeError",
        Reason.BAD_FILE,
        "a configuration file of the model is not JSON",
        _AGAIN,
    ),
    sign(
        r"SafetensorError: (.*)|Cannot find any model weights",
        Reason.BAD_FILE,
        "the weights cannot be read: {0}",
        _AGAIN,
    ),
    sign(
        r"((?:size mismatch for|shape mismatch|Attempted to load weight).*"
        r"|start \(\d+\) \+ length \(\d+\) exceeds dimension size.*)",
        Reason.BAD_FILE,
        "the weights do not have the shape that config.json says: {0}",
        _AGAIN,
    ),
    sign(
        r"[Aa]ddress already in use",
        Reason.ADDRESS_IN_USE,
        "the engine's address is in use already",
        "try again",
    ),
    sign(
        r"(?:No module named '(?:vllm|torch)|ImportError|PackageNotFoundError)(.*)",
        Reason.BROKEN_ENGINE,
        "the installed vLLM is damaged{0}",
        _REINSTALL,
    ),
)

_NO_CAUSE: Final = re.compile(r" WARNING |[Ss]ee (?:root cause above|stack trace for root cause)")
_ERROR: Final = re.compile(r"(?:^|\s)((?:\w+\.)*\w*(?:Error|Exception): .+|error: .+)$")
_CRASHES: Final = frozenset({signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL})


def diagnosis_of(exit_code: int | None, log_tail: Sequence[str]) -> Diagnosis:
    """What went wrong. `exit_code` is negative for a signal, None for a process still alive."""
    for known in _SIGNS:
        for line in reversed(log_tail):
            if match := known.pattern.search(line):
                parts = [group or "" for group in match.groups()]
                return Diagnosis(
                    known.reason, known.message.format(*parts).rstrip(": "), known.hint
                )
    if exit_code == -signal.SIGKILL:
        return Diagnosis(
            Reason.OUT_OF_MEMORY,
            "vLLM was killed from outside, most likely for want of memory",
            _SMALLER,
        )
    last = _last_error(log_tail)
    if exit_code is not None and -exit_code in _CRASHES:
        name = signal.Signals(-exit_code).name
        hint = (
            "this CPU lacks instructions that this build of vLLM needs"
            if -exit_code == signal.SIGILL
            else "an error of vLLM's; stoker logs shows more"
        )
        return Diagnosis(Reason.CRASHED, f"vLLM crashed ({name}): {last}", hint)
    code = "no exit code yet" if exit_code is None else f"exit code {exit_code}"
    return Diagnosis(Reason.UNKNOWN, f"vLLM failed ({code}): {last}", "stoker logs shows more")


def _last_error(log_tail: Sequence[str]) -> str:
    for line in reversed(log_tail):
        if (match := _ERROR.search(line)) and not _NO_CAUSE.search(line):
            return match[1].strip()
    return log_tail[-1] if log_tail else "it wrote nothing"
