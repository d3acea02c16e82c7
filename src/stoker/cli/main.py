"""`stoker`: finds the command, imports its module and nothing else, and turns errors into words.

`stoker --help` imports no argparse, no http.client and no msgspec: it has 60 ms for everything.
"""

import gc
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from stoker import __version__
from stoker.cli.table import ELSEWHERE, GROUPS, INSTEAD, Command, commands, find

PROGRAM = "stoker"


def main() -> int:
    """Entry point of `stoker`."""
    return run(sys.argv[1:], PROGRAM)


def run(argv: Sequence[str], program: str) -> int:
    """Run one command line to its exit code. The only place that catches everything."""
    _forgive_encodings()
    debug = "--debug" in argv[: argv.index("--")] if "--" in argv else "--debug" in argv
    try:
        code = _dispatch([*argv], program)
        sys.stdout.flush()
    except BaseException as error:  # noqa: BLE001  # the rim: every error ends here as words
        if isinstance(error, SystemExit):  # --help of a command
            return error.code if isinstance(error.code, int) else 0
        from stoker.cli.errors import UsageError, exit_code, report  # noqa: PLC0415

        if isinstance(error, BrokenPipeError):
            # The interpreter flushes stdout once more at exit and would complain about it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if debug and not isinstance(error, (KeyboardInterrupt, BrokenPipeError, UsageError)):
            import traceback  # noqa: PLC0415

            traceback.print_exception(error)
        report(error)
        code = exit_code(error)
    return code


def _forgive_encodings() -> None:
    """Letters that a locale lacks, and bytes that are none of its letters, become marks.

    An answer, or a `git diff` in a pipe, has some sooner or later.
    """
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _dispatch(argv: list[str], program: str) -> int:
    while argv and argv[0] in {"--debug", "-D"}:
        del argv[0]
    if not argv or argv[0] in {"-h", "--help"}:
        print(help_text(program))
        return 0
    if argv[0] in {"-v", "-V", "--version"}:
        print(f"{program} version {__version__}")
        return 0
    if argv[0] in {"__complete", "__completeNoDesc"}:
        from stoker.cli.commands import complete  # noqa: PLC0415

        return complete.run(argv[1:], program)
    if argv[0] == "help":
        return _dispatch([*argv[1:2], "--help"], program)
    command = find(argv[0])
    if command is None:
        raise _unknown(argv[0], program)
    return run_command(command, argv, program)


def run_command(command: Command, argv: Sequence[str], program: str) -> int:
    """Import the command's module, read its flags and run it."""
    # Imports leave no garbage; looking for it meanwhile and at the end took 8 of 110 ms.
    gc.disable()
    from stoker.cli.parser import Options, Parser  # noqa: PLC0415
    from stoker.cli.session import Session  # noqa: PLC0415

    module = import_module(f"stoker.cli.commands.{command.module}")
    gc.freeze()
    gc.enable()
    parser = Parser(command, program)
    module.arguments(parser)
    options: Options = parser.read(argv[1:], module.Options())
    parser.check_count(options.words)
    code: int = module.run(options, Session(program, debug=options.debug))
    return code


def help_text(program: str) -> str:
    """What a newcomer sees first."""
    width = max(len(command.name) for command in commands()) + 2
    blocks = [
        "Pull, keep and run AI models on this machine, behind one local API.",
        f"Usage:  {program} COMMAND [OPTIONS]",
        (
            "Try it:\n"
            f'  {program} run pilot "What is Stoker?"   ask the small model that comes along\n'
            f"  {program} run smollm2                   chat; pulls the model when it is missing"
        ),
    ]
    blocks += [
        "\n".join([f"{group.title}:", *(f"  {c.name:<{width}}{c.summary}" for c in group.commands)])
        for group in GROUPS
    ]
    blocks.append(
        "API:  http://127.0.0.1:12434/engines/v1 for OpenAI clients; no key needed\n"
        f"More: '{program} COMMAND --help'; --debug before any command shows tracebacks"
    )
    return "\n\n".join(blocks)


def _unknown(word: str, program: str) -> Exception:
    from difflib import get_close_matches  # noqa: PLC0415

    from stoker.cli.errors import UsageError  # noqa: PLC0415

    if word.startswith("-"):
        return UsageError(f"unknown flag: {word}", hint=f"see '{program} --help'")
    if word in INSTEAD:
        return UsageError(f"unknown command: {word}", hint=INSTEAD[word])
    names = [name for command in commands() for name in (command.name, *command.aliases)]
    close = ELSEWHERE.get(word) or next(iter(get_close_matches(word, names, n=1)), None)
    hint = f"did you mean '{program} {close}'?" if close else f"see '{program} --help'"
    return UsageError(f"unknown command: {word}", hint=hint)


if __name__ == "__main__":
    sys.exit(main())
