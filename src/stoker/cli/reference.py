"""`python -m stoker.cli.reference`: docs/reference/cli.md, out of the code itself."""

from importlib import import_module
from typing import Final

from stoker.cli.output import put
from stoker.cli.parser import Parser
from stoker.cli.table import GROUPS, Command

_INTRODUCTION: Final = """\
# The command line

<!-- Made by `python -m stoker.cli.reference`; a test compares. Do not edit. -->

`stoker COMMAND [ARGUMENTS] [OPTIONS]`, or `docker model COMMAND …` once the
[plugin](../how-to/docker-plugin.md) is installed. Flags may stand before or after arguments; `--`
ends them.

Answers and data go to the standard output, everything else to the standard error: what you pipe is
never mixed with progress. Commands that a program might read take `--json`.

## Which service is asked

1. `STOKER_HOST`, then `MODEL_RUNNER_HOST`: `http://host:port`, `https://host`, `host:port` or
   `unix:///path`. `MODEL_RUNNER_TLS=true`, `MODEL_RUNNER_TLS_CA_CERT` and
   `MODEL_RUNNER_TLS_SKIP_VERIFY=true` work as in Docker Model Runner.
2. The context in use (`stoker context use NAME`).
3. Your own service's socket, when it is there.
4. `http://127.0.0.1:12434`. With `STOKER_HOME` set, only the socket in there.

When neither a variable nor a context names one and nothing answers, commands that need the service
start it in the background. `MODEL_RUNNER_NO_AUTO_INSTALL=1` turns that off.

## Exit codes

| Code | Meaning |
|---|---|
| 0 | it worked; also when the reader of a pipe had enough |
| 1 | it failed; the reason is on the standard error, often with a `hint:` |
| 2 | the command line is wrong |
| 130 | Ctrl-C |

## Other variables

| Variable | Meaning |
|---|---|
| `STOKER_HOME` | one directory for everything |
| `MODELS_PATH` | where models are kept |
| `HF_TOKEN` | sent when a model of Hugging Face is pulled, pushed or planned, and only then |
| `DOCKER_MODEL_NOHISTORY` | do not remember what was typed in a chat |
"""


def reference() -> str:
    """The whole page."""
    blocks = [_INTRODUCTION]
    for group in GROUPS:
        blocks.append(f"## {group.title}\n")
        blocks += [_section(command) for command in group.commands if command.name != "help"]
    return "\n".join(blocks)


def _section(command: Command) -> str:
    parser = Parser(command, "stoker")
    module = import_module(f"stoker.cli.commands.{command.module}")
    module.arguments(parser)
    names = " or ".join(f"`{name}`" for name in command.aliases)
    alias = f"Also {names}.\n\n" if names else ""
    return f"### {command.name}\n\n{alias}```text\n{parser.format_help()}```\n"


if __name__ == "__main__":
    put(reference())
