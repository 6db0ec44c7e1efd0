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


def test_the_default_covers_where_percentile_is_too_short():
    coverage = load("interval_coverage")
    study = coverage.equal_groups("skewed", 20)
    percentile = coverage.contrast_coverage(study, "percentile", seed=2, simulations=300)
    default = coverage.contrast_coverage(study, "auto", seed=2, simulations=300)
    assert percentile["single"] < 0.935
    assert 0.935 < default["single"] < 0.965
    # Four binomial standard errors around .05 with 300 simulations reach down to 0; .1 is four above.
    assert 0.01 < default["familywise_error"] < 0.1
