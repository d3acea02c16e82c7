"""Why llama.cpp failed: from its exit code and its last lines to one sentence for the user."""

from collections.abc import Sequence

from stoker.engines.spec import Diagnosis, Reason


def diagnosis_of(exit_code: int | None, log_tail: Sequence[str]) -> Diagnosis:
    """What went wrong."""
    last = f": {log_tail[-1]}" if log_tail else ""
    return Diagnosis(Reason.UNKNOWN, f"llama.cpp ended with code {exit_code}{last}")
