"""Every command: one line each. Nothing is imported to print help; a module only when chosen."""

from typing import Final, NamedTuple


class Command(NamedTuple):
    """`module` is in `stoker.cli.commands`; `most` None means any number of arguments."""

    name: str
    summary: str
    usage: str = ""
    least: int = 0
    most: int | None = 0
    aliases: tuple[str, ...] = ()
    file: str = ""

    @property
    def module(self) -> str:
        return self.file or self.name.replace("-", "_")


class Group(NamedTuple):
    """A heading of the help text."""

    title: str
    commands: tuple[Command, ...]


# fmt: off
GROUPS: Final = (
    Group("Chat", (
        Command("run", "Ask a model, or chat with it", "[MODEL] [PROMPT...]", 0, None),
        Command("bench", "How fast a model answers, alone and under load", "MODEL", 1, 1),
        Command("ps", "Models that are loaded now"),
        Command("unload", "Free the memory of models", "MODEL... | --all", 0, None, ("stop",)),
    )),
    Group("Models", (
        Command("list", "Models on this machine", "[MODEL]", 0, 1, ("ls",)),
        Command("search", "Models on Docker Hub and Hugging Face", "[TERM]", 0, 1),
        Command("pull", "Download a model", "MODEL", 1, 1),
        Command("push", "Upload a model to its registry", "MODEL", 1, 1),
        Command("package", "Make a model artifact of files", "NAME", 1, 1),
        Command("save", "Write models to one file", "MODEL...", 1, None),
        Command("load", "Take models out of such a file", "[NAME]", 0, 1),
        Command("show", "What a model is, for people", "MODEL", 1, 1),
        Command("inspect", "What a model is, as JSON", "MODEL", 1, 1),
        Command("tag", "Give a model another name", "SOURCE TARGET", 2, 2),
        Command("rm", "Remove models", "MODEL...", 1, None),
        Command("import", "Take models from files and other programs", "PATH [NAME]", 1, 2,
                file="import_"),
        Command("plan", "What a model would take of this machine's memory", "MODEL", 1, 1),
        Command("recommend", "Which models or quantizations fit this machine", "[MODEL]", 0, 1),
        Command("verify", "Are all bytes of the models what they were?", "[MODEL]", 0, 1,
                ("fsck",)),
        Command("prune", "Free what no model needs"),
        Command("df", "Disk space in use"),
        Command("purge", "Remove all models"),
        Command("configure", "Settings a model runs with", "MODEL [-- FLAGS...]", 0, None,
                ("config",)),
    )),
    Group("Service", (
        Command("status", "Is it running, and which engines are there?"),
        Command("why", "Why models were loaded, stopped or refused", "[MODEL]", 0, 1),
        Command("doctor", "Is this machine set up well for models?"),
        Command("requests", "What models were asked and answered, when that is recorded"),
        Command("key", "API keys for programs and other machines", "add|list|rm [NAME...]",
                1, None),
        Command("logs", "What it wrote to its log"),
        Command("serve", "Run it in this terminal"),
        Command("start-runner", "Start it in the background", file="runner"),
        Command("stop-runner", "Stop it", file="runner"),
        Command("restart-runner", "Stop it and start it again", file="runner"),
        Command("install-runner", "Install an engine made for this machine"),
        Command("reinstall-runner", "Make it anew", file="install_runner"),
        Command("uninstall-runner", "Remove an engine, or stop the service"),
    )),
    Group("More", (
        Command("launch", "Start claude, codex, opencode ... on these models", "[APP] [-- ARGS...]",
                0, 1),
        Command("context", "Names for services on other machines",
                "create|use|ls|show|inspect|rm [NAME...]", 1, None),
        Command("compose", "What docker compose calls for models", "up|down|metadata [SERVICE]",
                1, 2),
        Command("docker-plugin", "Make this `docker model`", "install|uninstall|status", 1, 1),
        Command("completion", "Tab completion for your shell", "bash|zsh|fish", 1, 1),
        Command("version", "Versions of this program and of the service"),
        Command("help", "Help on a command", "[COMMAND]", 0, 1),
    )),
)
# fmt: on

INSTEAD: Final = {
    "gateway": "LiteLLM is one; there, models of this machine are docker_model_runner/MODEL",
    "skills": "agents' own files are not changed; stoker launch starts an agent on these models",
    "--llama-server-version": "an engine comes as it was tested; another llama.cpp: --from ARCHIVE",
    "--proxy-cert": "SSL_CERT_FILE=FILE names a bundle with the proxy's authority",
    "--tls-port": "there is one port, --port, and with --tls it speaks TLS",
    "--websearch": "no search service is asked; an app that can do it: stoker launch openwebui",
}
"""What `docker model` has and this has not: what to do, for people who come from there."""

ELSEWHERE: Final = {
    "chat": "run",
    "copy": "tag",
    "cp": "tag",
    "create": "package",
    "delete": "rm",
    "download": "pull",
    "get": "pull",
    "info": "show",
    "models": "list",
    "remove": "rm",
    "restart": "restart-runner",
    "server": "serve",
    "start": "start-runner",
}
"""What commands are called in Ollama, LM Studio and other programs: what they are called here."""


def commands() -> tuple[Command, ...]:
    """All of them, in the order of the help text."""
    return tuple(command for group in GROUPS for command in group.commands)


def find(word: str) -> Command | None:
    """The command of that name or alias."""
    for command in commands():
        if word == command.name or word in command.aliases:
            return command
    return None
