"""kill -9 at every step; the check is in `crash_worker`."""

import os
import subprocess
import sys

import pytest

from tests.components.places import quick_directory


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_killed_process_leaves_a_store_that_verifies() -> None:
    with quick_directory() as directory:
        worker = [sys.executable, "-m", "tests.store.crash_worker", str(directory)]
        run = subprocess.run(worker, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) >= 200
