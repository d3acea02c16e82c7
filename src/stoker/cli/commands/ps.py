"""`ps`: what is loaded, and until when."""

from datetime import UTC, datetime
from typing import Final

from stoker.base.errors import InvalidSetting
from stoker.base.units import binary_size, human_duration, parse_duration
from stoker.cli import parser as cli
from stoker.cli.errors import doing
from stoker.cli.names import shown
from stoker.cli.output import put_json, put_table, short_id
from stoker.cli.session import Session
from stoker.wire.manage import NEVER_USED, Runner

HEADER: Final[tuple[str, ...]] = ("MODEL NAME", "BACKEND", "MODE", "UNTIL")
_DEFAULT_KEEP_ALIVE: Final = 300.0


class Options(cli.Options):
    json: bool
    memory: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("--memory", help="also what each model takes, and its process")
    parser.switch("--json", help="print what the API says")


def run(options: Options, session: Session) -> int:
    with doing("Failed to list running models"):
        runners = session.client().ps()
    if options.json:
        put_json(runners)
        return 0
    now = datetime.now(UTC)
    rows = [[_name(r.model_name), r.backend_name, r.mode, until(r, now)] for r in runners]
    header = HEADER
    if options.memory:
        header = (*HEADER, "MEMORY", "GPU MEMORY", "PLACED", "PID", "BUILD")
        rows = [[*row, *_taken(r)] for row, r in zip(rows, runners, strict=True)]
    put_table(header, rows)
    return 0


def _taken(runner: Runner) -> list[str]:
    gpus = ", ".join(f"{device} {binary_size(size)}" for device, size in runner.devices.items())
    memory = binary_size(runner.memory) if runner.memory else ""
    return [memory, gpus, runner.placed, str(runner.pid or ""), runner.build]


def until(runner: Runner, now: datetime) -> str:
    """When it will be unloaded, in words."""
    if runner.loading:
        return f"Loading {runner.loaded}%" if runner.loaded else "Loading..."
    keep = _keep_alive(runner.keep_alive)
    if keep == float("inf"):
        return "Forever"
    if runner.in_use or runner.last_used == NEVER_USED:
        return f"{human_duration(keep)} from now"
    left = keep - (now - datetime.fromisoformat(runner.last_used)).total_seconds()
    return f"{human_duration(left)} from now" if left > 0 else "Expiring"


def _keep_alive(text: str) -> float:
    try:
        return parse_duration(text) if text else _DEFAULT_KEEP_ALIVE
    except InvalidSetting:
        return _DEFAULT_KEEP_ALIVE


def _name(name: str) -> str:
    return short_id(name) if name.startswith("sha256:") else shown(name.lower())
