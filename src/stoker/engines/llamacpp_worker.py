"""One llama.cpp server in one process, run by `tether.py` with `llama-server`'s arguments.

With `--dry-run` as the first argument nothing is loaded: llama.cpp itself works out what it would
take, and one line for each device goes to stdout: name, weights, cache, compute, in MiB.

The `xllamacpp` wheel carries llama.cpp's whole HTTP server but no `llama-server` program. This file
is that program: the argument vector goes through llama.cpp's own C++ parser, so that the flags of
this worker are those of the real thing, to the letter.

It runs outside Stoker's interpreter state (`-I`) and therefore imports nothing of Stoker. llama.cpp
writes its log to stderr; stdout is pointed there too, since some of its parts print.

Exit codes: 0 stopped by SIGTERM or SIGINT; 1 the parser gave up; 2 bad arguments; 3 the
model did not load; 4 this wheel cannot be driven; those of the tether, which runs it.
"""

from __future__ import annotations

import ctypes
import os
import signal
import stat
import sys
from importlib.util import find_spec, module_from_spec

# What every start waits for: `typing` would take 2 ms of it. Type checkers know this name.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, NoReturn

WHEEL_VERSION: Final = "2026.10.11549"
"""The one build whose memory layout `_parameters_of` was written for; pinned in pyproject.toml."""

# bool common_params_parse(int, char **, common_params &, llama_example, void (*)(int, char **))
_PARSER: Final = "_Z19common_params_parseiPPcR13common_params13llama_examplePFviS0_E"
_LOG: Final = "_Z15common_log_mainv"  # common_log * common_log_main()
_LOG_FLUSH: Final = "_Z16common_log_flushP10common_log"  # void common_log_flush(common_log *)
# llama_model_params common_model_params_to_llama(common_params &)
_MODEL: Final = "_Z28common_model_params_to_llamaR13common_params"
# llama_context_params common_context_params_to_llama(const common_params &)
_CONTEXT: Final = "_Z30common_context_params_to_llamaRK13common_params"
# void common_fit_print(const char *, llama_model_params *, llama_context_params *)
_FIT_PRINT: Final = "_Z16common_fit_printPKcP18llama_model_paramsP20llama_context_params"
_EXAMPLE_SERVER: Final = 12  # LLAMA_EXAMPLE_SERVER in llama.cpp's common/common.h of this build

_STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})

_EXIT_ARGUMENTS: Final = 2
_EXIT_LOAD: Final = 3
_EXIT_WHEEL: Final = 4


def _fail(code: int, message: str) -> NoReturn:
    # In the shape of llama.cpp's own error lines, so that one reader understands both.
    print(f"0.00.000.000 E worker: {message}", file=sys.stderr, flush=True)  # noqa: T201
    os._exit(code)


def _parameters_of(holder: Any) -> int:
    """The address of the C++ `common_params` inside a Python `CommonParams`.

    Found by writing four rare numbers through the wheel's own setters and looking for them in the
    object's memory: they must lie there once, side by side, as the struct begins with them.
    """
    fields = ("n_predict", "n_ctx", "n_batch", "n_ubatch")
    saved = [getattr(holder, field) for field in fields]
    markers = (0x5A17C0D1, 0x1B0FFEE5, 0x2C0FFEE7, 0x3D0FFEE9)
    for field, marker in zip(fields, markers, strict=True):
        setattr(holder, field, marker)
    wanted = b"".join(marker.to_bytes(4, sys.byteorder) for marker in markers)
    memory = ctypes.string_at(id(holder), type(holder).__basicsize__)
    for field, value in zip(fields, saved, strict=True):
        setattr(holder, field, value)
    offset = memory.find(wanted)
    if offset < 0 or memory.find(wanted, offset + 1) >= 0:
        _fail(_EXIT_WHEEL, "the parameters of this xllamacpp build lie in an unknown place")
    return id(holder) + offset


def _wheel() -> Any:
    """The wheel's extension. Ends the process when it is not the one that is needed.

    Its package is not run: that would load logging and more, for 8 ms, to estimate GPU layers.
    """
    try:
        if spec := find_spec("xllamacpp"):
            sys.modules["xllamacpp"] = module_from_spec(spec)
        from xllamacpp import _version, xllamacpp  # noqa: PLC0415  # where it can be reported
    except ImportError as error:
        _fail(_EXIT_WHEEL, f"xllamacpp cannot be imported: {error}")
    version = _version.get_versions()["version"]
    if version != WHEEL_VERSION:
        _fail(_EXIT_WHEEL, f"xllamacpp is {version}, needed is {WHEEL_VERSION}")
    return xllamacpp


def _parse(extension: Any, arguments: list[str]) -> Any:
    """The wheel's parameters for this argument vector. Ends the process when they are wrong."""
    try:
        parse = getattr(ctypes.CDLL(extension.__file__), _PARSER)
    except (AttributeError, OSError) as error:
        _fail(_EXIT_WHEEL, f"xllamacpp does not export llama.cpp's argument parser: {error}")
    parse.restype = ctypes.c_bool
    parse.argtypes = [
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_char_p),
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.c_void_p,
    ]
    vector = [b"llama-server", *map(os.fsencode, arguments)]
    parameters = extension.CommonParams()
    argv = (ctypes.c_char_p * (len(vector) + 1))(*vector, None)
    if not parse(len(vector), argv, _parameters_of(parameters), _EXAMPLE_SERVER, None):
        sys.exit(_EXIT_ARGUMENTS)  # the parser has said what is wrong
    _check_read_back(parameters, arguments)
    return parameters


def _check_read_back(parameters: Any, arguments: list[str]) -> None:
    """What the parser wrote must be what the wheel reads, for instance the model's path."""
    if "--model" in arguments:
        wanted = arguments[arguments.index("--model") + 1]
        if parameters.model.path != wanted:
            _fail(_EXIT_WHEEL, "the argument parser and this xllamacpp build do not fit together")


class _Struct(ctypes.Structure):
    """Room for a C struct that is only handed on: larger than any of llama.cpp's."""

    _fields_ = (("bytes", ctypes.c_char * 4096),)


def _dry_run(extension: Any, parameters: Any) -> NoReturn:
    """Print what a load would take. A file that is no model ends the process with a signal."""
    library = ctypes.CDLL(extension.__file__)
    try:
        model_of, context_of, show = library[_MODEL], library[_CONTEXT], library[_FIT_PRINT]
    except AttributeError as error:
        _fail(_EXIT_WHEEL, f"xllamacpp cannot try without loading: {error}")
    for function in (model_of, context_of):
        function.restype, function.argtypes = _Struct, [ctypes.c_void_p]
    show.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p]
    if parameters.n_parallel < 0:  # the server's own choice, made where it starts
        parameters.n_parallel, parameters.kv_unified = 4, True
    address = _parameters_of(parameters)
    model, context = model_of(address), context_of(address)
    show(os.fsencode(parameters.model.path), ctypes.byref(model), ctypes.byref(context))
    ctypes.CDLL(None).fflush(None)
    os._exit(0)


def _flush_log(extension: Any) -> None:
    """Wait until llama.cpp has written its log: it does so in a thread, which `exit` would cut off.

    Without it one failed load in fifty loses the lines that say why, on a busy machine.
    """
    library = ctypes.CDLL(extension.__file__)
    try:
        log_of_all, flush = library[_LOG], library[_LOG_FLUSH]
    except AttributeError:  # another platform's build may not export them
        return
    log_of_all.restype = ctypes.c_void_p
    flush.argtypes = [ctypes.c_void_p]
    flush(log_of_all())


def _remove_sockets(hosts: list[str]) -> None:
    # Both ways: a stale socket makes the server's bind fail, and a killed server leaves one behind.
    for host in hosts:
        try:
            # Not pathlib: it would take 5 of the 80 ms from start to ready.
            if stat.S_ISSOCK(os.lstat(host).st_mode):
                os.unlink(host)  # noqa: PTH108
        except OSError:  # an address that is no file, or a file already gone
            continue


def main(arguments: list[str]) -> NoReturn:
    # Blocked before any thread exists, hence in all of them: llama.cpp's own handler, which may
    # wait for a running stream for ever, is never reached, and no signal is lost before `sigwait`.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    if arguments[:1] == ["--dry-run"]:
        extension = _wheel()
        _dry_run(extension, _parse(extension, arguments[1:]))
    os.dup2(2, 1)
    extension = _wheel()
    parameters = _parse(extension, arguments)
    hosts = list(parameters.hostnames)
    _remove_sockets(hosts)
    try:
        # Serves from its own threads. Holds the GIL until the model is loaded: nothing written in
        # Python runs in this process before that.
        server = extension.Server(parameters)
    except ValueError as error:  # no model named
        _fail(_EXIT_ARGUMENTS, str(error))
    except RuntimeError:  # llama.cpp has logged why; this exception never says
        _remove_sockets(hosts)
        _flush_log(extension)
        os._exit(_EXIT_LOAD)
    signal.sigwait(_STOP_SIGNALS)
    _remove_sockets(hosts)
    # Not `del server`: its destructor joins the server while holding the GIL and hangs when a
    # stream is running (ggml-org/llama.cpp#27604). The kernel takes back what this process holds.
    sys.stderr.flush()
    os._exit(0 if server else _EXIT_LOAD)


if __name__ == "__main__":
    main(sys.argv[1:])
