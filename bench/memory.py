"""What the planner estimates and what llama.cpp then allocates, over some hundred models."""

import statistics
import tempfile
from pathlib import Path

from tests.planner.cases import MIB, Outcome, sweep_cases, try_case

from bench.table import show


def run() -> None:
    """Print the table, and the worst of each column. Sizes in MiB."""
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        for case in sweep_cases():
            try:
                outcomes.append(try_case(case, Path(folder)))
            except RuntimeError as error:
                print(f"not loaded: {case.label}: {error}")
    show(
        ["model, context", "weights", "error", "cache", "error", "compute", "error"],
        [_row(outcome) for outcome in outcomes],
    )
    shares = [_share(outcome) for outcome in outcomes]
    exact = sum(abs(outcome.cache_error) <= outcome.log_rounding for outcome in outcomes)
    weights = sum(abs(outcome.weights_error) <= outcome.log_rounding for outcome in outcomes)
    outputs = sum(abs(outcome.output_error) <= outcome.log_rounding for outcome in outcomes)
    close = sum(share <= 0.001 for share in shares)
    count = len(outcomes)
    print(
        f"\n{count} models: weights exact in {weights}, caches in {exact}, output in {outputs};"
        f" compute within 0.1 % in {close}, median {statistics.median(shares):.3%},"
        f" worst {max(shares):.2%}"
    )


def _row(outcome: Outcome) -> list[str]:
    estimate = outcome.estimate
    return [
        outcome.case.label,
        f"{estimate.weights / MIB:.2f}",
        f"{outcome.weights_error:+.2f}",
        f"{estimate.cache / MIB:.2f}",
        f"{outcome.cache_error:+.2f}",
        f"{estimate.compute / MIB:.2f}",
        f"{outcome.compute_error:+.2f}",
    ]


def _share(outcome: Outcome) -> float:
    # The log has two decimals: what lies below them is no error.
    measured = outcome.measured.total("compute")
    return max(abs(outcome.compute_error) - 0.005, 0.0) / measured if measured else 0.0


if __name__ == "__main__":
    run()
