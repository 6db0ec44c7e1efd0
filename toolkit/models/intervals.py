"""Further questions to a fitted mixed model: intervals of predictions, and tests of what varies."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError, DataError
from toolkit.models.fitted import FittedNetwork
from toolkit.models.mixed_estimate import MixedSolution, TrainedMixed
from toolkit.models.spatial_network import SpatialNetwork
from toolkit.models.term_tests import term_tests
from toolkit.numerics.mixed.prediction import conditional_variance


def prediction_intervals(trained: Any, data: GroupedDataset, level: float = 0.95) -> pd.DataFrame:
    """Predictions with the SD of the effects behind them, and where an outcome lies with a given probability.

    The variance of an outcome is that of the residual and of the row's effects given the training rows, those of all
    factors together; a level nobody has seen has the whole variance of its factor. Network, fixed effects and variances
    are taken as known.

    Args:
        trained: a fitted `Lmm` or `Lmmnn`.
        data: rows to predict.
        level: probability.

    Returns:
        Columns row, person, person_known, prediction, effect_sd (of the effects), sd (of an outcome), low, high.

    Raises:
        DataError: E406 for another model.
        ConfigError: E302 for a level that is no probability.
    """
    if not 0.0 < level < 1.0:
        raise ConfigError("level is no probability between 0 and 1", code="E302", column="level")
    network = getattr(trained, "network", None)
    if isinstance(network, SpatialNetwork) and not network.effects.layout.size:
        field = network.field
        return _frame(network, data, field.at_rows(data)[1], field.sigma2, level)
    beside = getattr(trained, "beside", None)
    if isinstance(network, SpatialNetwork) and beside is not None:
        return _frame(network, data, beside.variance(network, data), network.field.sigma2, level)
    mixed, network = _mixed(trained)
    codes = network.all_codes(data)
    codes = codes[:, None] if codes.ndim == 1 else codes
    variance = conditional_variance(mixed.sums, mixed.solution, codes, mixed.columns(data))
    return _frame(network, data, variance, mixed.solution.sigma2, level)


def _frame(
    network: FittedNetwork, data: GroupedDataset, variance: np.ndarray, sigma2: float, level: float
) -> pd.DataFrame:
    """The table, from the variances of the effects and of the residual in SDs of the target."""
    frame = network.predict_frame(data)[["row", "person", "person_known", "prediction"]]
    scale = network.scaler.target_scale
    sd = scale * np.sqrt(variance + sigma2)
    reach = norm.ppf(0.5 + level / 2) * sd
    return frame.assign(
        effect_sd=scale * np.sqrt(variance),
        sd=sd,
        low=frame["prediction"] - reach,
        high=frame["prediction"] + reach,
    )


def random_terms(trained: Any) -> pd.DataFrame:
    """Tests of every effect of a fitted `Lmm` or `Lmmnn`, deviances in the units of the data.

    Raises:
        DataError: E406 for another model.
    """
    mixed, network = _mixed(trained)
    layouts = (network.effects.layout, *(factor.effects.layout for factor in network.further))
    names = [(name, layout.labels) for name, layout in zip(network.groupings, layouts, strict=True)]
    found = term_tests(mixed.design, names, mixed.solution.deviance, reml=trained.restricted)
    in_units = trained.deviance - mixed.solution.deviance
    return found.assign(deviance=found["deviance"] + in_units)


def _mixed(trained: Any) -> tuple[MixedSolution, FittedNetwork]:
    """The mixed model behind a fitted one (E406 where there is none)."""
    if not isinstance(trained, TrainedMixed) or trained.mixed is None:
        raise DataError(
            "only mixed models of a number answer this: an outcome of two classes has no interval, and what varies "
            "beside places or mapped levels is not tested",
            code="E406",
            remedy="fit Lmm or Lmmnn without spatial; for two classes, take the probability and the SDs of the effects",
        )
    return trained.mixed, trained.network
