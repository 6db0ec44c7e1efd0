"""Predictions averaged over draws of the effects, and how far they lie apart."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models.additive_network import AdditiveMlp, AdditiveNetwork, added_by
from toolkit.models.mcgmenn_fit import TrainedMcgmenn
from toolkit.models.outcomes import predicted

ROWS_AT_ONCE = 2_048


def averaged_over_draws(trained: TrainedMcgmenn, data: GroupedDataset) -> np.ndarray:
    """Class probabilities (rows, classes), or values (rows,), averaged over draws of the effects from their posterior.

    The prediction at the posterior means is too sure of itself where few rows speak for a level. A level without
    training rows is drawn from its factor's distribution.

    Args:
        trained: a network fitted by Monte Carlo EM.
        data: rows to predict.
    """
    parts = [draws.mean(axis=0) for draws in predictions_by_draw(trained, data)]
    return np.concatenate(parts)


def intervals_over_draws(trained: TrainedMcgmenn, data: GroupedDataset, level: float = 0.95) -> pd.DataFrame:
    """How sure predictions are: quantiles over draws of the effects; of a number with its residual.

    Network and variances are taken as known. Of classes the interval is that of the probability, of counts that of the
    mean; of numbers it is where an outcome lies.

    Args:
        trained: a network fitted by Monte Carlo EM.
        data: rows to predict.
        level: probability.

    Returns:
        Columns row, person, person_known, class (where there are classes), prediction (averaged over draws), sd, low,
        high; one line for each row, or each row and class.

    Raises:
        ConfigError: E302 for a level that is no probability.
    """
    if not 0.0 < level < 1.0:
        raise ConfigError("level is no probability between 0 and 1", code="E302", column="level")
    network, tails = trained.network, (0.5 - level / 2, 0.5 + level / 2)
    rng = np.random.default_rng(len(trained.draws[0]))  # the same residuals every time
    noise = network.scaler.target_scale * np.sqrt(trained.estimate.sigma2) if network.task == "regression" else 0.0
    found = []
    for draws in predictions_by_draw(trained, data):
        draws = draws.reshape(*draws.shape[:2], -1)
        draws = draws + noise * rng.standard_normal(draws.shape)
        low, high = np.quantile(draws, tails, axis=0)
        found.append(np.stack([draws.mean(axis=0), draws.std(axis=0, ddof=1), low, high]))
    values = np.concatenate(found, axis=1)
    frame = network.predict_frame(data)[["row", "person", "person_known"]]
    classes = values.shape[2]
    frame = frame.loc[frame.index.repeat(classes)].reset_index(drop=True)
    if network.classes is not None:
        frame["class"] = list(network.classes) * data.n_rows
    names = ("prediction", "sd", "low", "high")
    return frame.assign(**{name: own.ravel() for name, own in zip(names, values, strict=True)})


def predictions_by_draw(trained: TrainedMcgmenn, data: GroupedDataset) -> Iterator[Float[np.ndarray, "draws rows *k"]]:
    """Predictions by every kept draw of the effects, some rows at a time.

    Levels that were not drawn, because they have no training rows or are not known, have draws of their own from the
    factor's distribution: the same for all rows of a level, and every time.
    """
    network, module = trained.network, trained.network.module
    assert isinstance(network, AdditiveNetwork)
    assert isinstance(module, AdditiveMlp)
    like = next(iter(network.shared.values()))
    codes = network.all_codes(data)
    codes = codes[:, None] if codes.ndim == 1 else codes
    features = network.scaler.features(data)
    layouts = (network.effects.layout, *(factor.effects.layout for factor in network.further))
    draws = _drawn(trained, data, codes)
    for start in range(0, data.n_rows, ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        rows = torch.as_tensor(features[part]).to(like)
        with torch.no_grad():
            fixed = torch.func.functional_call(module, network.shared, (rows,)).double().cpu().numpy()
        design = module.effect_design(rows)
        found = []
        for draw in zip(*(values for values, _ in draws), strict=True):
            added = sum(
                added_by(values, layout, own[part], design, module.outputs)
                for values, layout, (_, own) in zip(draw, layouts, draws, strict=True)
            )
            found.append(predicted(network.task, fixed + added, network.scaler))
        yield np.stack(found)


def _drawn(
    trained: TrainedMcgmenn, data: GroupedDataset, codes: np.ndarray
) -> list[tuple[Float[np.ndarray, "draws levels effects"], np.ndarray]]:
    """Draws of every level of each factor, those of new levels behind them, and the codes of the rows among these."""
    network, rng = trained.network, np.random.default_rng(len(trained.draws))
    covariances = [network.effects.covariance, *(factor.effects.covariance for factor in network.further)]
    groupings = {own.name: own for own in data.groupings}
    found = []
    for name, own, covariance, kept in zip(network.groupings, codes.T, covariances, trained.draws, strict=True):
        prior = covariance.numpy()
        root = np.diag(np.sqrt(prior)) if prior.ndim == 1 else np.linalg.cholesky(prior)
        values = kept.double().numpy().copy()
        absent = ~values.any(axis=(0, 2))
        labels = np.asarray(groupings[name].codes if name in groupings else data.person)
        unknown, places = np.unique(labels[own < 0], return_inverse=True)
        size = (len(values), int(absent.sum()) + len(unknown), values.shape[2])
        drawn = rng.standard_normal(size) @ root.T
        values[:, absent] = drawn[:, : int(absent.sum())]
        own = own.copy()
        own[own < 0] = values.shape[1] + places.reshape(-1)
        found.append((np.concatenate([values, drawn[:, int(absent.sum()) :]], axis=1), own))
    return found
