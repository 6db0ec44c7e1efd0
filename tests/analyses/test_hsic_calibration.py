"""Small simulations of the designs of the HSIC test; the full ones are in benchmarks/calibration."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks" / "calibration"
SIMULATIONS = 300
# Four binomial standard errors around .05.
LOWEST, HIGHEST = 0.0, 0.05 + 4 * (0.05 * 0.95 / SIMULATIONS) ** 0.5

pytestmark = pytest.mark.slow


def load(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RATES = load("hsic_error_rates")


@pytest.mark.parametrize(
    "design",
    [
        "families at 0.8, permuted",
        "large families against small, some overlap",
        "onset-coded transitions, families",
        "paired",
        "within sites",
        "early stopping at 10 of 199",
        "exact, 5 and 5",
    ],
)
def test_a_design_holds_its_level(design):
    assert LOWEST < RATES.rejection_rate(RATES.DESIGNS[design], SIMULATIONS, seed=1) < HIGHEST


@pytest.mark.parametrize("design", ["families at 0.8, naive", "within sites, naive"])
def test_ignoring_the_design_does_not(design):
    assert RATES.rejection_rate(RATES.DESIGNS[design], SIMULATIONS, seed=1) > 0.15


def test_more_persons_find_more():
    few, many = (RATES.rejection_rate(RATES.power(n, 0.8, "mean"), 100, seed=2) for n in (20, 100))
    assert few < 0.5 < 0.7 < many


@pytest.mark.parametrize("kind", ["normal", "skewed", "families", "number"])
def test_effect_intervals_hold_the_true_effect(kind):
    module = load("hsic_effect_coverage")
    true = module.truth(kind, 1.0, samples=6, n=1_000)
    found = module.coverage(kind, 38, 1.0, true, 200, seed=3)
    assert found["cka_coverage"] > 0.89
    assert found["energy_coverage"] > 0.89
