"""Results with round numbers, made without any computation: only their sentences are of interest."""

from __future__ import annotations

from typing import Any

import numpy as np

from analyses.base_rates import BaseRateResult
from analyses.baseline import BaselineResult
from analyses.baseline_identity import IdentityResult
from analyses.baseline_slope import SlopeResult
from analyses.comparison import PairedResult
from analyses.drivers import CellDrivers
from analyses.drivers_influence import LeftOut
from analyses.drivers_sequences import SequenceDrivers
from analyses.hsic_result import HsicResult
from analyses.model_comparison import ModelComparison
from analyses.multiverse import Multiverse
from analyses.power import PowerCurve
from analyses.rao_scott import RaoScott
from analyses.stability import StabilityResult
from analyses.transition_comparison import TransitionComparison
from analyses.variance import VariancePartition

NAN = float("nan")


def baseline(**changed: Any) -> BaselineResult:
    values: dict[str, Any] = {
        "r": 0.91, "correlation": "pearson", "low": 0.83, "high": 0.95, "interval": "jackknife", "pvalue": 1e-9,
        "low_bootstrap": 0.82, "high_bootstrap": 0.95, "pvalue_bootstrap": 0.0002, "low_fisher": 0.83,
        "high_fisher": 0.95, "n": 38, "n_units": 38, "unit_name": "persons", "by_unit": False, "method": "bootstrap-t",
        "resamples": 10_000, "level": 0.95, "notes": (),
    }  # fmt: skip
    return BaselineResult(**(values | changed))


def paired(**changed: Any) -> PairedResult:
    values: dict[str, Any] = {
        "difference": 0.027, "low": 0.004, "high": 0.05, "pvalue": 0.021, "mean_a": 0.494, "mean_b": 0.467, "n": 195,
        "n_excluded": 0, "n_units": 98, "unit_name": "families", "method": "bootstrap-t", "resamples": 10_000,
        "level": 0.95, "notes": (),
    }  # fmt: skip
    return PairedResult(**(values | changed))


def transitions(**changed: Any) -> TransitionComparison:
    """Two states; positive into dysphoric and back differ as in the paper, the other cells do not vary."""

    def cell(value: float) -> np.ndarray:
        return np.array([[NAN, value], [value, NAN]])

    values: dict[str, Any] = {
        "states": ("positive", "dysphoric"), "difference": cell(0.028), "low": cell(0.001), "high": cell(0.055),
        "low_simultaneous": cell(-0.006), "high_simultaneous": cell(0.062), "pvalue": cell(0.04),
        "pvalue_fdr": cell(0.04), "pvalue_holm": cell(0.04), "pvalue_permutation": cell(NAN),
        "pvalue_permutation_max": cell(NAN), "standard_error": cell(0.01), "mean_true": cell(0.128),
        "mean_false": cell(0.1), "n_cell_true": cell(97), "n_cell_false": cell(98), "n_true": 97, "n_false": 98,
        "n_units": 98, "unit_name": "families", "method": "bootstrap-t", "resamples": 10_000, "level": 0.95,
        "group_names": ("depressed", "non-depressed"), "scale": "probability", "permutations": 0, "notes": (),
    }  # fmt: skip
    return TransitionComparison(**(values | {k: cell(v) if isinstance(v, float) else v for k, v in changed.items()}))


def hsic(**changed: Any) -> HsicResult:
    values: dict[str, Any] = {
        "statistic": 0.71, "pvalue": 0.006, "pvalue_low": 0.004, "pvalue_high": 0.008, "bandwidth": 0.5,
        "group_bandwidth": NAN, "null": np.array([0.1] * 994 + [0.8] * 6), "n": 195, "n_units": 98,
        "permutations": 9_999, "kernel": "gaussian", "group_kernel": "discrete", "bandwidth_rule": "median",
        "unit_name": "families", "stratified": False, "group_sizes": {"0": 98, "1": 97}, "notes": (),
    }  # fmt: skip
    return HsicResult(**(values | changed))


def base_rates(**changed: Any) -> BaseRateResult:
    corrected = RaoScott(
        statistic=61.0, df=3, design_effect=5.2, design_effects=np.array([6.0, 5.2, 4.4]), f_first=3.9, f_second=3.9,
        df_first=(3.0, 582.0), df_second=(2.8, 543.2), pvalue_first=0.009, pvalue_second=0.011, cramers_v=0.083,
        cramers_v_corrected=0.07,
    )  # fmt: skip
    values: dict[str, Any] = {
        "statistic": 61.0, "df": 3, "cramers_v": 0.083, "cramers_v_corrected": 0.07, "v_low": 0.02, "v_high": 0.14,
        "level": 0.95, "rao_scott": corrected, "pvalue": 0.013, "pvalue_low": 0.011, "pvalue_high": 0.015,
        "pvalue_naive": 1e-12, "counts": np.array([[10, 20], [30, 40]]), "groups": ("a", "b"), "states": ("x", "y"),
        "n": 8946, "n_excluded": 0, "n_persons": 195, "n_units": 98, "unit_name": "families", "permutations": 9_999,
        "notes": (),
    }  # fmt: skip
    return BaseRateResult(**(values | changed))


def variance(**changed: Any) -> VariancePartition:
    values: dict[str, Any] = {
        "quantities": ("icc_target", "r2_marginal", "r2_conditional"), "values": np.array([0.35, 0.1, 0.42]),
        "low": np.array([0.25, 0.0, 0.31]), "high": np.array([0.45, 0.2, 0.53]), "parts": (1.0, 2.0, 3.0),
        "blocks": (("layers.1", "bias", 0.75, 1, 0), ("layers.1", "weight", 0.25, 5, 2)), "n_persons": 100,
        "n_rows": 8702, "n_units": 100, "unit_name": "persons", "method": "jackknife", "resamples": 0, "level": 0.95,
        "rows_used": "all", "notes": (),
    }  # fmt: skip
    return VariancePartition(**(values | changed))


def stability(**changed: Any) -> StabilityResult:
    values: dict[str, Any] = {
        "parameters": ("a", "b"), "icc": np.array([0.95, 0.4]), "icc_low": np.array([0.9, 0.2]),
        "icc_high": np.array([0.98, 0.6]), "rank_agreement": np.array([0.9, 0.4]),
        "sign_agreement": np.array([0.9, 0.6]), "cs": np.array([0.7, 0.1]), "stable": (True, False),
        "reason": ("", "low ICC"), "curve": np.zeros((0, 5)), "n_persons": 38, "n_runs": 5, "n_refits": 20,
        "method": "jackknife", "level": 0.95, "notes": (),
    }  # fmt: skip
    return StabilityResult(**(values | changed))


def multiverse() -> Multiverse:
    keys = (
        ("absolute", "score", "gaussian", 1.0, True, "families"),
        ("absolute", "observed", "linear", NAN, True, "families"),
    )
    return Multiverse(
        specifications=keys, effect=np.array([0.04, 0.06]), pvalue=np.array([0.01, 0.2]),
        expected=np.array([0.01, 0.01]), share_significant=0.5, median_effect=0.05, p_median=0.03, p_share=0.04,
        n_persons=195, n_units=98, unit_name="families", permutations=999, alpha=0.05, notes=(),
    )  # fmt: skip


def power(**changed: Any) -> PowerCurve:
    values: dict[str, Any] = {
        "designs": ((20, 50), (40, 50)), "cell_power": np.array([0.55, 0.84]), "cell_low": np.array([0.5, 0.8]),
        "cell_high": np.array([0.6, 0.87]), "hsic_power": np.array([NAN, NAN]), "hsic_low": np.array([NAN, NAN]),
        "hsic_high": np.array([NAN, NAN]), "states": ("calm", "sad"), "cell": ("calm", "sad"), "difference": 0.05,
        "cluster_size": 1, "correlation": 0.0, "target": 0.8, "simulations": 500, "permutations": 199, "alpha": 0.05,
        "notes": (),
    }  # fmt: skip
    return PowerCurve(**(values | changed))


def models(**changed: Any) -> ModelComparison:
    values: dict[str, Any] = {
        "models": ("NME-CRF", "Generic-CRF"), "metrics": ("krippendorff_alpha",), "means": np.array([[0.494, 0.467]]),
        "low": np.array([[0.45, 0.43]]), "high": np.array([[0.53, 0.5]]), "n_defined": np.array([[195, 195]]),
        "pairs": ((0, 0, 1),), "results": (paired(),), "pvalue_holm": np.array([0.021]), "marks": (("", "a"),),
        "correction": "none", "alpha": 0.05, "n_persons": 195, "split": "test", "notes": (),
    }  # fmt: skip
    return ModelComparison(**(values | changed))


def identity() -> IdentityResult:
    return IdentityResult(
        r=0.91, correlation="pearson", low=-0.32, high=0.32, pvalue=0.0001, pvalue_low=0.0, pvalue_high=0.0004,
        null=np.zeros(9), n=38, n_units=38, n_fixed=0, unit_name="persons", permutations=9_999, notes=(),
    )  # fmt: skip


def slope() -> SlopeResult:
    return SlopeResult(
        slope=-0.4, intercept=1.0, low=-0.9, high=0.1, pvalue=0.11, error=0.2, slope_shrunken=-0.2, reliability=0.5,
        baseline_reliability=0.9, n=38, n_units=19, unit_name="families", level=0.95, notes=(),
    )  # fmt: skip


def drivers() -> CellDrivers:
    left = LeftOut(
        difference=np.array([0.05, 0.02]), low=np.array([0.01, -0.01]), high=np.array([0.09, 0.05]),
        pvalue=np.array([0.01, 0.2]), persons=np.array([1, 1]),
    )  # fmt: skip
    return CellDrivers(
        cell=("calm", "sad"), group_names=("treated", "waiting"), scale="probability", difference=0.04, low=0.01,
        high=0.07, pvalue=0.01, mean_true=0.14, mean_false=0.1, persons=("P1", "P2"), value=np.array([0.14, 0.1]),
        group=np.array([True, False]), unit=("P1", "P2"), contribution=np.array([0.03, 0.01]),
        share=np.array([0.75, 0.25]), units=("P1", "P2"), without=left, unit_name="persons", level=0.95, n_left_out=0,
        notes=(),
    )  # fmt: skip


def sequences() -> SequenceDrivers:
    return SequenceDrivers(
        cell=("calm", "sad"),
        person=("P1", "P1", "P2"),
        sequence=("d1", "d2", "d1"),
        departures=np.array([3.0, 4.0, 5.0]),
        moves=np.array([2.0, 1.0, 0.0]),
        expected=np.array([0.6, 0.8, 1.0]),
        excess=np.array([1.4, 0.2, -1.0]),
        push=np.array([1.4, 0.2, 1.0]),
    )
