"""An engine whose program is `fake_llama_server.py`: all that an Engine has to be."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, final

from stoker.engines.confinement import roots_of
from stoker.engines.spec import Build, Command, Diagnosis, Reason
from stoker.engines.tether import tethered
from stoker.planner.spec import Format, Mode, ModelSpec, RunSettings

_SERVER: Final = Path(__file__).with_name("fake_llama_server.py")


@final
class FakeEngine:
    """Runs nothing and says so. `faults` are flags of the stand-in, such as "--ignore-term"."""

    def __init__(self, *faults: str, ready_within: float = 10.0) -> None:
        self._faults = faults
        self._ready_within = ready_within
        self.version = "1"

    @property
    def name(self) -> str:
        return "fake"

    @property
    def formats(self) -> frozenset[Format]:
        return frozenset(Format)

    def build(self) -> Build | None:
        return Build(engine=self.name, version=self.version, source="test")

    def check_settings(self, settings: RunSettings) -> None:
        """All settings are fine."""

    def command(self, model: ModelSpec, mode: Mode, settings: RunSettings, socket: Path) -> Command:
        return self.command_for(socket, *settings.runtime_flags)

    def command_for(self, socket: Path, *faults: str) -> Command:
        """The command without a model, for tests of launchers."""
        program = [sys.executable, "-I", "-S", str(_SERVER), "--socket", str(socket)]
        return Command(
            argv=tethered([*program, *self._faults, *faults]),
            socket=socket,
            ready_within=self._ready_within,
            programs=(*roots_of(Path(sys.executable)), _SERVER.parent),
        )

    @property
    def tenant_flags(self) -> tuple[str, ...]:
        return ()

    def tenant_fields(self, salt: str | None) -> Mapping[str, object]:
        return {}

    def diagnose(self, exit_code: int | None, log_tail: Sequence[str]) -> Diagnosis:
        last = log_tail[-1] if log_tail else "it wrote nothing"
        if exit_code is not None and exit_code < 0:
            return Diagnosis(Reason.CRASHED, f"signal {-exit_code}: {last}")
        reason = Reason.OUT_OF_MEMORY if "out of memory" in last else Reason.UNKNOWN
        return Diagnosis(reason, f"exit code {exit_code}: {last}")
