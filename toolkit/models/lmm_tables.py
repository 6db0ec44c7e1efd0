"""Tables of a linear mixed model beside those of every model: fixed effects, and how well it fits."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.models.glmm_fit import TrainedGlmm
from toolkit.models.lmm_fit import TrainedLmm
from toolkit.models.mixed_estimate import TrainedMixed


def fixed_effects_table(trained: TrainedLmm | TrainedGlmm, level: float = 0.95) -> pd.DataFrame:
    """Fixed effects with standard errors and Wald intervals: parameter, estimate, se, low, high, z, p."""
    fixed = trained.fixed
    se = np.sqrt(np.diagonal(fixed.covariance))
    reach = norm.ppf(0.5 + level / 2) * se
    z = fixed.estimate / se
    frame = pd.DataFrame(
        {
            "parameter": list(fixed.names),
            "estimate": fixed.estimate,
            "se": se,
            "low": fixed.estimate - reach,
            "high": fixed.estimate + reach,
            "z": z,
            "p": 2.0 * norm.sf(np.abs(z)),
        }
    )
    return frame.astype({"parameter": "string"})


def likelihood_table(trained: TrainedMixed) -> pd.DataFrame:
    """How well the model fits its training rows: log_likelihood, deviance, parameters, rows, aic, bic.

    With restricted likelihood the criteria are those of the restricted likelihood, as lme4 gives them.
    """
    rows, deviance, count = trained.training_rows, trained.deviance, trained.parameters
    return pd.DataFrame(
        {
            "restricted": [trained.restricted],
            "log_likelihood": [-0.5 * deviance],
            "deviance": [deviance],
            "parameters": [count],
            "rows": [rows],
            "aic": [deviance + 2.0 * count],
            "bic": [deviance + math.log(rows) * count],
        }
    )
