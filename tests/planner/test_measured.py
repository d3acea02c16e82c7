"""Estimates against the real engine. All shapes: `python -m bench.memory`."""

from pathlib import Path

import pytest

from tests.planner.cases import Case, approximated, quick_cases, try_case
from tests.planner.shapes import Shape


@pytest.mark.parametrize("case", quick_cases(), ids=lambda case: case.label)
def test_the_estimate_is_what_the_engine_allocates(case: Case, tmp_path: Path) -> None:
    outcome = try_case(case, tmp_path)
    measured = outcome.measured
    assert abs(outcome.weights_error) <= outcome.log_rounding
    assert abs(outcome.cache_error) <= outcome.log_rounding
    assert abs(outcome.output_error) <= outcome.log_rounding
    # 5 % would do for planning; the engine's allocator is followed much closer than that.
    assert abs(outcome.compute_error) <= 0.001 * measured.total("compute") + 0.005
    assert outcome.estimate.exact


@pytest.mark.parametrize("shape", approximated(), ids=lambda shape: shape.name)
def test_a_graph_that_is_only_approximated_is_said_to_be(shape: Shape, tmp_path: Path) -> None:
    outcome = try_case(Case(shape), tmp_path)
    assert abs(outcome.weights_error) <= outcome.log_rounding
    assert abs(outcome.cache_error) <= outcome.log_rounding
    assert not outcome.estimate.exact
    assert abs(outcome.compute_error) < 0.25 * outcome.measured.total("compute")
