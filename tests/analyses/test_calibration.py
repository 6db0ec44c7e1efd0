"""Small simulations: what the choice of unit and interval does. The full ones are in benchmarks/calibration."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "calibration"

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::toolkit.errors.ToolkitWarning")]


def load(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_permuting_persons_rejects_far_too_often_and_permuting_families_holds():
    rates = load("hsic_type_one").rejections(0.4, simulations=400, families=40, permutations=99, seed=1)
    assert rates["persons"] > 0.10
    # Four binomial standard errors around .05 with 400 simulations.
    assert 0.006 < rates["families"] < 0.094


def test_bootstrap_t_covers_where_percentile_is_too_short():
    coverage = load("interval_coverage").coverage
    percentile = coverage("skewed", 20, "percentile", simulations=300, resamples=499, seed=2)
    studentised = coverage("skewed", 20, "bootstrap-t", simulations=300, resamples=499, seed=2)
    assert percentile["single"] < 0.935
    assert 0.935 < studentised["single"] < 0.965
    assert studentised["simultaneous"] > 0.91
