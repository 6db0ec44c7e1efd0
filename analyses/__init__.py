"""Analysis modules: plain arrays or run folders in, frozen results out. Never torch, never streamlit."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analyses.base_rates import base_rate_test as base_rate_test
    from analyses.baseline import bias_baseline as bias_baseline
    from analyses.baseline_identity import permuted_identity as permuted_identity
    from analyses.baseline_slope import corrected_slope as corrected_slope
    from analyses.comparison import paired_bootstrap as paired_bootstrap
    from analyses.covariate_slopes import transition_slopes as transition_slopes
    from analyses.drivers import cell_drivers as cell_drivers
    from analyses.hsic import hsic_test as hsic_test
    from analyses.hsic_effect import hsic_effect_size as hsic_effect_size
    from analyses.likelihood_ratio import compare_likelihoods as compare_likelihoods
    from analyses.model_comparison import compare_models as compare_models
    from analyses.multiverse import specification_curve as specification_curve
    from analyses.pairwise_transitions import compare_groups as compare_groups
    from analyses.power import power_curve as power_curve
    from analyses.transitions import compare_transitions as compare_transitions
    from analyses.variance import partition_variance as partition_variance

_HOME = {
    "base_rate_test": "analyses.base_rates",
    "bias_baseline": "analyses.baseline",
    "paired_bootstrap": "analyses.comparison",
    "hsic_test": "analyses.hsic",
    "hsic_effect_size": "analyses.hsic_effect",
    "compare_transitions": "analyses.transitions",
    "compare_groups": "analyses.pairwise_transitions",
    "transition_slopes": "analyses.covariate_slopes",
    "cell_drivers": "analyses.drivers",
    "corrected_slope": "analyses.baseline_slope",
    "permuted_identity": "analyses.baseline_identity",
    "partition_variance": "analyses.variance",
    "specification_curve": "analyses.multiverse",
    "power_curve": "analyses.power",
    "compare_models": "analyses.model_comparison",
    "compare_likelihoods": "analyses.likelihood_ratio",
}


def __getattr__(name: str) -> Any:
    """Import the module a public name lives in, at its first use."""
    if name not in _HOME:
        raise AttributeError(f"module 'analyses' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """The public names, for completion in a console."""
    return sorted(_HOME)
