"""`launch`: start a program that talks to models, told to talk to these."""

import os
import shlex
import shutil
from typing import Final

from stoker.base.errors import InvalidSetting, UserError
from stoker.cli import parser as cli
from stoker.cli import transfer
from stoker.cli.addresses import bridge_address, for_containers, for_programs, reaches_containers
from stoker.cli.apps import APPS, NO_KEY, App, Launch, Target
from stoker.cli.errors import OK, UsageError, say
from stoker.cli.names import shown
from stoker.cli.output import put, put_table
from stoker.cli.session import Session
from stoker.client.client import Client

HEADER: Final = ("APP", "WHAT IT IS", "STATE")


class Options(cli.Options):
    model: str
    port: int
    image: str
    detach: bool
    dry_run: bool
    config: bool


def arguments(parser: cli.Parser) -> None:
    flag, switch = parser.flag, parser.switch
    flag("--model", default="", value="MODEL", help="what it shall use; pulled when it is missing")
    switch("--config", help="print what it would be told, and start nothing")
    switch("--dry-run", help="print the command, and start nothing")
    flag("--port", kind=int, default=0, value="N", help="of an app in a container, on this machine")
    flag("--image", default="", value="IMAGE", help="of an app in a container")
    switch("-d", "--detach", help="leave a container in the background")
    parser.passes_on = True
    parser.epilog = (
        "Without APP: which there are, and which are installed. What comes after -- goes to the\n"
        "app. Nothing of its own settings is changed.\n"
        f"  {parser.program} launch claude --model ai/qwen3-coder\n"
        f"  {parser.program} launch codex --model pilot -- exec 'hello'\n"
        f"  {parser.program} launch openwebui --port 3000\n"
        f'  eval "$({parser.program} launch opencode --config)"; opencode'
    )


def candidates(words: list[str]) -> list[str]:
    """Apps, where one may stand."""
    return [] if words else [*APPS]


def run(options: Options, session: Session) -> int:
    if not options.words:
        put_table(HEADER, [[name, app.summary, _state(app)] for name, app in APPS.items()])
        return OK
    name = options.words[0]
    app = APPS.get(name)
    if app is None:
        raise UsageError(f"unknown app: {name}", hint=f"there are: {', '.join(APPS)}")
    if not app.in_container and (options.port or options.image or options.detach):
        raise UsageError(f"--port, --image and --detach are for containers, and {name} is none")
    client = session.client()
    launch = app.launch(_target(app, options, client))
    shown_launch = _without_secret(launch, client.endpoint.key)
    if options.config:
        put("".join(f"export {key}={value}\n" for key, value in shown_launch))
        if len(launch.argv) > 1:
            put(f"# and started as: {shlex.join(launch.argv)}\n")
        return OK
    if options.dry_run:
        words = [*(f"{key}={value}" for key, value in shown_launch), shlex.join(launch.argv)]
        put(f"Would run: {' '.join(words)}\n")
        return OK
    if app.in_container and not reaches_containers(client.endpoint):
        raise InvalidSetting(
            f"containers cannot reach {for_programs(client.endpoint)}",
            hint=f"stoker restart-runner --host {bridge_address()}; then it asks for an API key",
        )
    return _start(app, name, options, client, launch)


def _start(app: App, name: str, options: Options, client: Client, launch: Launch) -> int:
    program = shutil.which(app.program)
    if program is None:
        raise UserError(f"{app.program} not found; please install it and re-run")
    if options.model:
        transfer.pull_if_missing(client, options.model)
    elif app.needs_model:
        say(f"note: without --model, {name} asks for models that may not be here")
    if launch.note:
        say(launch.note)
    os.execve(program, [*launch.argv], {**os.environ, **launch.environment})  # noqa: S606  # the app takes our place: its terminal, signals and exit code


def _target(app: App, options: Options, client: Client) -> Target:
    base = (for_containers if app.in_container else for_programs)(client.endpoint)
    if not base.startswith("http"):
        raise InvalidSetting(
            f"{client.endpoint} is a socket file, and apps need an http address",
            hint="set STOKER_HOST to the http address of that service",
        )
    return Target(
        base=base,
        key=client.endpoint.key or NO_KEY,
        model=options.model,
        models=[shown(model.tags[0]) for model in client.models() if model.tags],
        port=options.port,
        image=options.image,
        detach=options.detach,
        arguments=options.rest,
    )


def _without_secret(launch: Launch, key: str) -> list[tuple[str, str]]:
    """The environment for a shell to read; a real key stays where it is."""
    variable = '"$STOKER_API_KEY"'
    return [
        (name, variable)
        if key and value == key
        # Out of the single quotes, which keep the shell from reading it, and in again.
        else (name, shlex.quote(value).replace(key, f"'{variable}'") if key else shlex.quote(value))
        for name, value in launch.environment.items()
    ]


def _state(app: App) -> str:
    if shutil.which(app.program) is None:
        return f"{app.program} is not installed"
    return "docker is installed" if app.in_container else "installed"
