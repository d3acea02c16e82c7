"""`docker-plugin`: a link in Docker's plugin directory makes `docker model …` be this program."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from stoker.base.errors import Conflict, StorageError
from stoker.base.paths import home_of
from stoker.cli import parser as cli
from stoker.cli.errors import UsageError
from stoker.cli.output import put, put_json
from stoker.cli.session import Session

PLUGIN: Final = "docker-model"


class Options(cli.Options):
    force: bool
    json: bool


def arguments(parser: cli.Parser) -> None:
    parser.switch("-f", "--force", help="install: replace a plugin of someone else")
    parser.switch("--json", help="status: print as JSON")


@dataclass(frozen=True, slots=True)
class Place:
    """Where the link belongs, and what it should point to."""

    link: Path
    target: Path

    @property
    def state(self) -> str:
        """`missing`, `installed`, `broken` (points to nothing) or `foreign`."""
        if not os.path.lexists(self.link):
            return "missing"
        if not self.link.exists():
            return "broken"
        same = self.target.exists() and self.link.samefile(self.target)
        return "installed" if same else "foreign"


def run(options: Options, _session: Session) -> int:
    actions = {"install": _install, "uninstall": _uninstall, "status": _status}
    action = actions.get(options.words[0])
    if action is None:
        raise UsageError(f"unknown action: {options.words[0]}", hint="install, uninstall or status")
    try:
        action(_place(), options)
    except OSError as error:
        raise StorageError(f"cannot change {error.filename}: {error.strerror}") from error
    return 0


def _install(place: Place, options: Options) -> None:
    if not place.target.exists():
        raise StorageError(f"there is no {place.target}", hint="install the package again")
    if place.state == "foreign" and not options.force:
        raise Conflict(
            f"{place.link} is there already and is not ours",
            hint="--force replaces it; with Docker Desktop that is Docker's own plugin",
        )
    if place.state != "installed":
        place.link.parent.mkdir(parents=True, exist_ok=True)
        place.link.unlink(missing_ok=True)
        place.link.symlink_to(place.target)
    put(f'{place.link} -> {place.target}\nTry it: docker model run pilot "What is Stoker?"\n')


def _uninstall(place: Place, _options: Options) -> None:
    if place.state == "foreign":
        raise Conflict(f"{place.link} is not ours; it stays")
    if place.state == "missing":
        put("Not installed\n")
        return
    place.link.unlink()
    put(f"Removed {place.link}\n")


def _status(place: Place, options: Options) -> None:
    if options.json:
        put_json({"state": place.state, "link": str(place.link), "target": str(place.target)})
    else:
        put(f"{place.state}: {place.link}\n")


def _place() -> Place:
    home = Path(os.environ.get("DOCKER_CONFIG") or home_of(os.environ) / ".docker")
    # Next to the program that runs now; next to its interpreter when started with `python -m`.
    beside = [Path(sys.argv[0]).absolute().parent, Path(sys.executable).absolute().parent]
    found = next((d / PLUGIN for d in beside if (d / PLUGIN).exists()), beside[-1] / PLUGIN)
    return Place(link=home / "cli-plugins" / PLUGIN, target=found)
