"""`serve`: become the daemon, in this terminal."""

import os
import sys

from stoker.cli import parser as cli
from stoker.cli.errors import UsageError
from stoker.cli.filenames import file_path
from stoker.cli.session import Session


class Options(cli.Options):
    host: str | None
    port: int | None
    gpu: str | None
    models_path: str | None
    log_level: str | None
    log_format: str | None
    require_keys: bool
    without_keys: bool
    tls: str | None
    tls_cert: str | None
    tls_key: str | None


def arguments(parser: cli.Parser) -> None:
    add_listen_flags(parser)
    add_gpu_flag(parser)
    flag = parser.flag
    flag("--models-path", value="DIR", help="where models are kept")
    flag("--log-level", value="LEVEL", help="debug, info, warning or error (info)")
    flag("--log-format", value="FORMAT", help="text or json (text)")
    parser.switch("--require-keys", help="ask for an API key here too, see 'stoker key'")
    parser.switch("--without-keys", help="let everybody do everything who can connect")
    add_tls_flags(parser)


def add_listen_flags(parser: cli.Parser) -> None:
    """The two flags that every command starting a daemon has."""
    parser.flag("--host", value="ADDRESS", help="address to listen on (127.0.0.1)")
    parser.flag("--port", kind=int, value="N", help="port to listen on (12434)")


def add_gpu_flag(parser: cli.Parser) -> None:
    """Which builds of engines a daemon prefers."""
    parser.flag(
        "--gpu",
        value="KIND",
        help="engine builds to prefer: none, cuda, rocm, vulkan, metal (auto)",
    )


def add_tls_flags(parser: cli.Parser) -> None:
    """Whether a daemon encrypts; Docker Model Runner's `--tls` has no value."""
    flag = parser.flag
    flag(
        "--tls",
        value="[MODE]",
        help="auto: encrypt, with a certificate made here (off)",
        kind=lambda text: {"true": "auto", "false": "off"}.get(text, text),
        bare="auto",
    )
    flag("--tls-cert", value="FILE", help="encrypt with this certificate, PEM")
    flag("--tls-key", value="FILE", help="its key, if that is in another file")


def tls_settings(mode: str | None, cert: str | None, key: str | None) -> dict[str, object]:
    """What these flags say of `base/config`'s settings: the last word, whatever was said before.

    Raises UsageError for a key without a certificate.
    """
    if key and not cert:
        raise UsageError("--tls-key goes with --tls-cert: which certificate is it the key of?")
    if cert:
        files = [str(file_path(name).absolute()) if name else "" for name in (cert, key)]
        return {"tls": "off", "tls_cert": files[0], "tls_key": files[1]}
    return {"tls": mode, "tls_cert": "", "tls_key": ""} if mode else {}


def daemon_flags(**values: object) -> list[str]:
    """Command-line flags for those values that were given; True is a flag without a value."""
    return [
        word
        for name, value in values.items()
        if value is not None and value is not False
        for word in (f"--{name.replace('_', '-')}", *(() if value is True else (str(value),)))
    ]


def run(options: Options, _session: Session) -> int:
    flags = daemon_flags(
        host=options.host,
        port=options.port,
        gpu=options.gpu,
        models_path=options.models_path,
        log_level=options.log_level,
        log_format=options.log_format,
        require_keys=options.require_keys,
        without_keys=options.without_keys,
        **tls_settings(options.tls, options.tls_cert, options.tls_key),
    )
    # The same process, so that a supervisor's signals and the terminal's Ctrl-C reach the daemon.
    argv = [sys.executable, "-P", "-m", "stoker.daemon", *flags]
    os.execv(sys.executable, argv)  # noqa: S606  # our own interpreter, no shell
