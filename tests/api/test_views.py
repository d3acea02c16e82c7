"""Runners as the wire and the terminal show them."""

from datetime import UTC, datetime

from stoker.api.views import runner
from stoker.cli.commands.ps import _taken
from stoker.scheduler import RunnerState, RunnerStatus
from tests.scheduler.test_core import request

GIB = 1024**3


def test_a_runner_is_shown_with_what_it_takes_of_each_gpu() -> None:
    status = RunnerStatus(
        key=request("m").key, name="m", state=RunnerState.READY, in_use=0, waiting=0,
        idle_for=1.0, keep_alive=300, memory=GIB, pid=7, build="b1 (native)",
        devices={"CUDA0": 5 * GIB, "CUDA1": 4 * GIB}, placed="33 of 33 layers on CUDA0 and CUDA1",
    )  # fmt: skip
    shown = runner(status, 2 * GIB, datetime.now(UTC))
    assert shown.devices == {"CUDA0": 5 * GIB, "CUDA1": 4 * GIB}
    assert _taken(shown) == [
        "2.00GiB", "CUDA0 5.00GiB, CUDA1 4.00GiB", "33 of 33 layers on CUDA0 and CUDA1", "7",
        "b1 (native)",
    ]  # fmt: skip
