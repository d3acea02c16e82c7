"""What an engine may reach of this machine: decided here, entered by `tether` in the engine.

It reads its model, its own program and what the system gives to everybody; it writes where its
socket is, which is its own directory, and into a home of its own, where drivers and vLLM cache
what they compiled. See docs/concepts/confinement.md.
"""

import logging
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from stoker.engines.environment import named_places
from stoker.engines.spec import Command
from stoker.engines.tether import LIMITS_VARIABLE, landlock_version, loopback_probe

logger = logging.getLogger(__name__)

_PROGRAMS: Final = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/opt",
    "/nix/store", "/gnu/store", "/run/opengl-driver",
)  # fmt: skip
"""Software for everybody: shared libraries, drivers, compilers that vLLM calls."""

_SYSTEM: Final = (
    "/proc", "/sys",
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/ld.so.preload",
    "/etc/localtime", "/etc/timezone", "/etc/os-release", "/etc/mime.types",
    "/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/hosts", "/etc/resolv.conf",
    "/etc/OpenCL", "/etc/vulkan", "/etc/glvnd", "/etc/nvidia", "/etc/drirc", "/etc/ssl/openssl.cnf",
)  # fmt: skip
"""The kernel itself keeps the secrets of other processes in /proc from a confined one."""

_DEVICES: Final = (
    "/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/dri", "/dev/kfd",
    "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset",
    "/dev/nvidia-caps", "/dev/accel", "/dev/dxg",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Confinement:
    """How engines are confined. `homes`: where they have their homes; None: the socket's place."""

    homes: Path | None = None
    programs: tuple[Path, ...] = field(default_factory=lambda: roots_of(Path(sys.executable)))
    """Where engines are installed, beside the system's places."""

    def environment(self, command: Command, engine: str) -> dict[str, str]:
        """What to add to the environment of the engine that the tether starts. Makes its home.

        Raises OSError.
        """
        own = command.socket.parent
        home = self.homes / (command.home or engine) if self.homes else own
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        network = "loopback" if command.loopback else "offline"
        limits = [*self._limits(command, (own, home)), network]
        return {
            "HOME": str(home),
            "TMPDIR": str(own),
            LIMITS_VARIABLE: "\n".join(limits),
        }

    def _limits(self, command: Command, own: Iterable[Path]) -> Iterator[str]:
        yield from _rules("run", (*map(Path, _PROGRAMS), *self.programs, *command.programs))
        yield from _rules("run", named_places(command.environment))
        yield from _rules(
            "read", (*map(Path, _SYSTEM), Path(__file__).parent, *command.files, *command.reads)
        )
        yield from _rules("device", (*map(Path, _DEVICES), *sorted(Path("/dev").glob("nvidia?"))))
        yield from _rules("write", (*own, *command.writes))
        yield from _rules("change", (_named_threads(several=command.loopback),))


def roots_of(python: Path) -> tuple[Path, ...]:
    """Where an interpreter and its libraries lie: its environment, and what that was made of."""
    return python.parent.parent, python.resolve().parent.parent


def lack(confinement: Confinement | None) -> str:
    """Why engines are confined less than they could be; empty when they are as they should be."""
    if confinement is None:
        return "switched off by confine_engines: engines may read and write what you may"
    if sys.platform != "linux":
        return "only Linux can confine engines: they may read and write what you may"
    version = landlock_version()
    if not version:
        return "this kernel has no Landlock, or it is off: engines may read and write what you may"
    if version < 4:
        return f"Landlock {version} of this kernel cannot limit TCP (from Linux 6.7 on it can)"
    return ""


def has_loopbacks() -> bool:
    """Whether engines that need a network get one of their own here. Takes some 20 ms."""
    if sys.platform != "linux":
        return False
    return subprocess.run(loopback_probe(), check=False).returncode == 0


def _named_threads(*, several: bool) -> Path:
    """Where a thread's name is written: without that, CUDA does not start (from driver 570 on).

    `self` is what the tether becomes. Processes that are yet to be started have no place of their
    own that could be named before, and all of /proc is too much for who may write the settings of
    the kernel there: root outside of containers, which have them read-only.
    """
    powerful = os.access("/proc/sys/kernel/core_pattern", os.W_OK)
    return Path("/proc") if several and not powerful else Path("/proc/self/task")


def _rules(right: str, places: Iterable[Path]) -> Iterator[str]:
    for place in places:
        if "\n" in str(place):  # a rule is one line; without one, it is simply not allowed
            logger.warning("engines cannot read %r: its name has a line break", str(place))
            continue
        yield f"{right} {place}"
