"""What a service manager is told about the daemon: files and command lines, as pure values."""

import plistlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_STOP_SECONDS: Final = 60
"""Answers in progress are let out first; see `daemon/main`."""
_AGAIN_AFTER: Final = 2

Words = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be run: no shell; `log` takes what it prints, at its end."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    description: str


@dataclass(frozen=True, slots=True)
class Manager:
    """How one service manager is spoken to about one service. Each of `Words` is a command."""

    program: str
    unit: Path
    """The file that registers the service, below the user's home directory."""
    render: Callable[[Job], bytes]
    """What is in it."""
    probe: Words
    """Succeeds when the manager can be reached."""
    before: tuple[Words, ...]
    """To be run before `register`; may fail."""
    register: Words
    begin: Words
    forget: Words
    after: tuple[Words, ...] = ()
    """To be run when the file is gone; may fail."""
    advice: str = ""
    """What to tell who has just registered it."""


def systemd(name: str, config: Path) -> Manager:
    """For systemd of this user; `config` is where its configuration lies, such as `~/.config`."""
    own = ("systemctl", "--user")
    service = f"{name}.service"
    return Manager(
        program=own[0],
        unit=config / "systemd" / "user" / service,
        render=systemd_unit,
        probe=(*own, "show-environment"),
        before=((*own, "daemon-reload"),),
        register=(*own, "enable", "--now", service),
        begin=(*own, "start", service),
        forget=(*own, "disable", "--now", service),
        after=((*own, "daemon-reload"),),
        advice="it begins when you log in; to begin with the machine: loginctl enable-linger",
    )


def launchd(name: str, home: Path, user: int) -> Manager:
    """For launchd on macOS, for the user of that number."""
    label, domain = f"dev.{name}", f"gui/{user}"
    target = f"{domain}/{label}"
    unit = home / "Library" / "LaunchAgents" / f"{label}.plist"

    def render(job: Job) -> bytes:
        return launchd_agent(label, job)

    return Manager(
        program="launchctl",
        unit=unit,
        render=render,
        probe=("launchctl", "print", domain),
        # A former one would keep its old command line.
        before=(("launchctl", "bootout", target),),
        register=("launchctl", "bootstrap", domain, str(unit)),
        begin=("launchctl", "kickstart", target),
        forget=("launchctl", "bootout", target),
    )


def systemd_unit(job: Job) -> bytes:
    """A user unit, see systemd.service(5)."""
    log = str(job.log).replace("%", "%%")
    return "\n".join((
        "[Unit]",
        f"Description={job.description.replace('%', '%%')}",
        "",
        "[Service]",
        # `$` begins a variable in a command, and only there.
        f"ExecStart={' '.join(_quoted(word).replace('$', '$$') for word in job.argv)}",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in job.environment.items()),
        f"StandardOutput=append:{log}",
        f"StandardError=append:{log}",
        # The daemon ends its engines itself; a second signal would cut answers in progress.
        "KillMode=mixed",
        f"TimeoutStopSec={_STOP_SECONDS}",
        "Restart=on-failure",
        f"RestartSec={_AGAIN_AFTER}",
        "",
        "[Install]",
        "WantedBy=default.target",
        "",
    )).encode()  # fmt: skip


def launchd_agent(label: str, job: Job) -> bytes:
    """A property list, see launchd.plist(5)."""
    return plistlib.dumps(
        {
            "Label": label,
            "ProgramArguments": [*job.argv],
            "EnvironmentVariables": dict(job.environment),
            "RunAtLoad": True,
            "KeepAlive": {"SuccessfulExit": False},
            "ThrottleInterval": _AGAIN_AFTER,
            "ExitTimeOut": _STOP_SECONDS,
            # Else launchd takes it for a background chore and slows it down.
            "ProcessType": "Interactive",
            "WorkingDirectory": "/",
            "StandardOutPath": str(job.log),
            "StandardErrorPath": str(job.log),
        }
    )


def _quoted(text: str) -> str:
    """One word of a unit file: quotes, escapes, and `%`, which begins a specifier."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped.replace("%", "%%")}"'
