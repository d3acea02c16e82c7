"""What an installation consists of: made by pure code, carried out by `install.py`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from stoker.base.errors import DoesNotFit, StorageError
from stoker.base.units import binary_size
from stoker.engines.machine import Machine


@dataclass(frozen=True, slots=True)
class Step:
    """One program to run to its end. `title` is shown to people while it runs."""

    title: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Added to the installer's own."""
    makes: tuple[Path, ...] = ()
    """The step is done already when one of these is there; the last part is a glob pattern."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How one build is made. `disk` and `memory` in bytes, needed at the worst moment."""

    engine: str
    variant: str
    version: str
    requirement: str
    steps: tuple[Step, ...]
    disk: int
    memory: int
    scratch: tuple[Path, ...] = ()
    """What may be deleted once the build is good."""
    program: str = ""
    """What runs, below the directory of the build, when that is not its Python."""
    kept: tuple[Path, ...] = ()
    """What a later attempt uses again, unless it is asked to make everything anew."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a recipe may write. `cache` survives a failed attempt, `staging` does not."""

    staging: Path
    cache: Path
    python: str
    """The interpreter to make environments with."""

    @property
    def environment_python(self) -> str:
        """The interpreter of the environment that is being made."""
        return str(self.staging / "bin" / "python")


def check_room(recipe: Recipe, machine: Machine) -> None:
    """Refuse before anything is downloaded. Raises StorageError, DoesNotFit."""
    if machine.disk < recipe.disk:
        raise StorageError(
            f"{recipe.engine} ({recipe.variant}) needs {binary_size(recipe.disk)} of disk space"
            f" while it is installed, {binary_size(machine.disk)} are free",
            hint="make room, or move Stoker's data with STOKER_HOME",
        )
    if machine.memory < recipe.memory:
        raise DoesNotFit(
            f"{recipe.engine} ({recipe.variant}) needs {binary_size(recipe.memory)} of memory"
            f" while it is installed, {binary_size(machine.memory)} are free",
            hint="unload models first: stoker unload --all",
        )


def environment_step(places: Places) -> Step:
    """A private Python environment."""
    return Step(
        "making a private Python environment",
        (places.python, "-I", "-m", "venv", str(places.staging)),
    )
