"""Why llama.cpp failed: from its exit code and its last lines to one sentence for the user.

The patterns are llama.cpp's own words, captured from real runs (tests/engines/failures.py) or, for
devices this was not run on, read from its sources. A change upstream costs a good sentence, never
a wrong one: what no pattern knows is shown as the engine's last error line.
"""

import re
import signal
from collections.abc import Sequence
from typing import Final

from stoker.engines.signs import sign
from stoker.engines.spec import Diagnosis, Reason

_FETCH_AGAIN: Final = "remove the model and pull it again"
_NEWER_ENGINE: Final = "a newer llama.cpp may know it: set LLAMA_SERVER_PATH to one, or upgrade"
_SMALLER: Final = "use a smaller context size or a smaller quantisation, or unload other models"
_GPU_SMALLER: Final = "use fewer GPU layers (-ngl), a smaller context size, or unload other models"


_SIGNS: Final = (
    # The first that is found anywhere wins: what is specific stands before what follows from it.
    sign(
        r"unknown (?:model )?architecture: '([^']*)'",
        Reason.UNSUPPORTED_ARCHITECTURE,
        "llama.cpp does not know the architecture {0!r}",
        _NEWER_ENGINE,
    ),
    sign(
        r"unknown pre-tokenizer type: '([^']*)'",
        Reason.UNSUPPORTED_ARCHITECTURE,
        "llama.cpp does not know the tokenizer {0!r}",
        _NEWER_ENGINE,
    ),
    sign(
        r"this GGUF file is version (\d+) but this software only supports up to version (\d+)",
        Reason.BAD_FILE,
        "the model file says GGUF version {0}, llama.cpp reads up to {1}",
        _NEWER_ENGINE,
    ),
    sign(
        r"Failed to load CLIP model from (.+?)\.?$|failed to load multimodal model, '([^']*)'",
        Reason.BAD_FILE,
        "the multimodal projector cannot be read: {0}",
        _FETCH_AGAIN,
    ),
    sign(
        r"invalid magic characters: '(.*)', expected 'GGUF'",
        Reason.BAD_FILE,
        "the model file is not GGUF, it begins with {0!r}",
        _FETCH_AGAIN,
    ),
    sign(
        r"failed to open GGUF file '([^']*)' \(([^)]*)\)",
        Reason.BAD_FILE,
        "the model file cannot be opened: {0} ({1})",
    ),
    sign(
        r"data is not within the file bounds",
        Reason.BAD_FILE,
        "the model file is truncated",
        _FETCH_AGAIN,
    ),
    sign(
        r"gguf_init_from\w*: failed to read (?:magic|header|key-value pairs|tensor \w+)",
        Reason.BAD_FILE,
        "the model file is truncated or corrupt",
        _FETCH_AGAIN,
    ),
    sign(
        r"check_tensor_dims: (tensor .* (?:not found|has wrong shape.*))",
        Reason.BAD_FILE,
        "the model file is inconsistent: {0}",
        _FETCH_AGAIN,
    ),
    sign(
        r"(?:cudaMalloc|hipMalloc|CUDA|ROCm)\b.*out of memory|ErrorOutOfDeviceMemory",
        Reason.OUT_OF_MEMORY,
        "not enough GPU memory to load the model",
        _GPU_SMALLER,
    ),
    sign(
        # Metal; DMR's wording for it, which scripts look for.
        r"failed to allocate buffer, size = +[\d.]+ *MiB",
        Reason.OUT_OF_MEMORY,
        "not enough GPU memory to load the model (Metal)",
        _GPU_SMALLER,
    ),
    sign(
        r"insufficient memory \(attempted to allocate ([\d.]+ \w+)\)",
        Reason.OUT_OF_MEMORY,
        "not enough memory: {0} more could not be had",
        _SMALLER,
    ),
    sign(
        r"failed to allocate (?:buffer|compute)|unable to allocate \w+ buffer|std::bad_alloc"
        r"|Cannot allocate memory",
        Reason.OUT_OF_MEMORY,
        "not enough memory to load the model",
        _SMALLER,
    ),
    sign(
        r"the supplied chat template is not supported|(?:parse|render).*template.*failed",
        Reason.BAD_TEMPLATE,
        "the model's chat template cannot be used by llama.cpp",
        "package the model with another --chat-template",
    ),
    sign(
        r"error while handling argument \"([^\"]*)\": (.*)",
        Reason.BAD_ARGUMENTS,
        "wrong value for {0}: {1}",
        "see the model's runtime flags: stoker configure",
    ),
    sign(
        r"error: invalid argument: (.*)",
        Reason.BAD_ARGUMENTS,
        "this llama.cpp has no flag {0}",
        "see the model's runtime flags: stoker configure",
    ),
    sign(
        r" E llama_init_from_model: (?!failed to)(.*)",
        Reason.BAD_ARGUMENTS,
        "these runtime flags do not fit the model or each other: {0}",
        "see the model's runtime flags: stoker configure",
    ),
    sign(
        r"couldn't bind HTTP server socket, hostname: (.*), port",
        Reason.ADDRESS_IN_USE,
        "the engine cannot listen on {0}",
        "is its directory there and writable, and the path below 100 characters?",
    ),
    sign(
        r" E worker: (.*)",
        Reason.BROKEN_ENGINE,
        "the built-in llama.cpp does not work here: {0}",
        "reinstall stoker, or set LLAMA_SERVER_PATH to a llama-server",
    ),
    sign(
        r"error loading model: (.*)",
        Reason.BAD_FILE,
        "the model file cannot be loaded: {0}",
        _FETCH_AGAIN,
    ),
)

_ERROR_LINE: Final = re.compile(r"^[\d.]+ E (.*)|^(error\b.*)|(.*GGML_ASSERT.*)", re.IGNORECASE)
_CRASHES: Final = frozenset({signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL})


def diagnosis_of(exit_code: int | None, log_tail: Sequence[str]) -> Diagnosis:
    """What went wrong. `exit_code` is negative for a signal, None for a process still alive."""
    for known in _SIGNS:
        # The newest line counts: an engine that survived one trouble may end by another.
        for line in reversed(log_tail):
            if match := known.pattern.search(line):
                parts = [group for group in match.groups() if group is not None]
                return Diagnosis(known.reason, known.message.format(*parts), known.hint)
    if exit_code is not None and exit_code < 0:
        return _killed(-exit_code, _last_error(log_tail))
    code = "no exit code yet" if exit_code is None else f"exit code {exit_code}"
    last = _last_error(log_tail) or (log_tail[-1] if log_tail else "it wrote nothing")
    return Diagnosis(Reason.UNKNOWN, f"llama.cpp failed ({code}): {last}", "stoker logs shows more")


def _killed(number: int, last_error: str) -> Diagnosis:
    if number == signal.SIGKILL:
        return Diagnosis(
            Reason.OUT_OF_MEMORY,
            "llama.cpp was killed from outside, most likely for want of memory",
            _SMALLER,
        )
    known = {one.value: one.name for one in signal.Signals}
    name = known.get(number, f"signal {number}")
    if number in _CRASHES:
        said = f": {last_error}" if last_error else ""
        hint = (
            "this CPU lacks instructions that this build of llama.cpp needs"
            if number == signal.SIGILL
            else "an error of llama.cpp's; another version or quantisation may do"
        )
        return Diagnosis(Reason.CRASHED, f"llama.cpp crashed ({name}){said}", hint)
    return Diagnosis(Reason.CRASHED, f"llama.cpp was stopped from outside ({name})")


def _last_error(log_tail: Sequence[str]) -> str:
    for line in reversed(log_tail):
        if match := _ERROR_LINE.search(line):
            return next(group for group in match.groups() if group).strip()
    return ""
