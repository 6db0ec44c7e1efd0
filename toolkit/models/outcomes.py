"""What depends on the kind of outcome: what data it asks for, where training starts, what is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import expit, softmax
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.effects.problem import ProblemParts
from toolkit.effects.random_effects import EffectLayout
from toolkit.effects.terms import GAPS
from toolkit.errors import ConfigError, DataError
from toolkit.models.config import Configuration
from toolkit.models.glmm import Glmm
from toolkit.models.lmmnn import Lmmnn
from toolkit.models.mcgmenn import McGmenn
from toolkit.models.nme import DELTA, MlpConfig
from toolkit.models.nme_crf import CrfConfig
from toolkit.models.noise import DENSITIES, Noise
from toolkit.models.pen import PenConfig
from toolkit.models.plain import PlainConfig
from toolkit.models.row_losses import Criterion

if TYPE_CHECKING:
    from toolkit.models.prepare import Scaler, Task


def task_of(config: Configuration) -> Task:
    """The kind of outcome a configuration models."""
    if isinstance(config, CrfConfig):
        return "sequence"
    return (
        config.task
        if isinstance(config, MlpConfig | PenConfig | PlainConfig | Lmmnn | Glmm | McGmenn)
        else "regression"
    )


def exposure_of(config: Configuration) -> str | None:
    """The feature that is an exposure, if the configuration names one."""
    return config.exposure if isinstance(config, MlpConfig) else None


def check_outcome(config: Configuration, data: GroupedDataset) -> None:
    """Refuse a target that the task cannot be about.

    Raises:
        DataError: E135 for counts below zero or with decimals; E111 for a single number that is not known.
        ConfigError: E302 for classes without an order, weights that do not fit the classes, or several targets of a
            model that takes one.
    """
    if data.further_target_names:
        _check_several(config)
    if task_of(config) != "sequence":
        check_known(data)
    if not isinstance(config, MlpConfig):
        return
    if config.task == "count":
        _check_counts(data)
    if config.task == "ordinal" and not data.has_order:
        raise ConfigError(
            "task 'ordinal' needs the order of the classes, and words have none",
            code="E302",
            column=data.target_name,
            remedy="name the classes from low to high (classes=[...], or [orders] in study.toml), use an ordered "
            "categorical column, or numbers",
        )
    if isinstance(config.class_weights, dict):
        _weights_by_name(config.class_weights, data.classes or ())


def _check_several(config: Configuration) -> None:
    """Refuse several targets where a model takes one (E302)."""
    if not isinstance(config, MlpConfig):
        who, remedy = "this model takes", "name one, or fit NmeMlp, GenericMlp or Pen, which take several"
    elif config.task != "regression":
        who, remedy = f"task '{config.task}' takes", "name one, or use task='regression'"
    elif config.loss not in {None, "mse"}:
        who, remedy = (
            f"loss '{config.loss}' takes",
            "name one, or leave the loss out: several targets have squared errors",
        )
    else:
        return
    raise ConfigError(f"{who} one target", code="E302", column="target", remedy=remedy)


def check_known(data: GroupedDataset) -> None:
    """Refuse rows in which no target is known (E111)."""
    empty = np.isnan(np.asarray(data.targets)).all(axis=1)
    if empty.any():
        raise DataError(
            f"{int(empty.sum())} row(s) without a known target",
            code="E111",
            column=data.target_name,
            rows=(np.asarray(data.row_numbers)[empty] + 2).tolist(),
            remedy="Drop these rows; a target cannot be filled in",
        )


def _check_counts(data: GroupedDataset) -> None:
    target = np.asarray(data.target)
    wrong = (target < 0) | (target != np.floor(target))
    if wrong.any():
        raise DataError(
            f"target column '{data.target_name}' holds values that are no counts",
            code="E135",
            column=data.target_name,
            rows=(np.asarray(data.row_numbers)[wrong] + 2).tolist(),
            remedy="counts are whole numbers from 0; use task='regression' for other numbers",
        )


def noise_of(config: Configuration) -> Noise | None:
    """Density of the residuals; None where the outcome is no number with residuals of its own."""
    if task_of(config) != "regression":
        return None
    if not isinstance(config, MlpConfig):
        return Noise()
    return Noise(density=DENSITIES[config.loss or "mse"], delta=config.huber_delta or DELTA)


def criterion_of(config: Configuration, data: GroupedDataset, training: np.ndarray) -> Criterion:
    """How the outcome is judged: weights of the classes (balanced by the training rows).

    Args:
        config: the settings.
        data: the whole data set, with class codes where the outcome is a class.
        training: numbers of the training rows.
    """
    if not isinstance(config, MlpConfig) or config.class_weights is None:
        return Criterion(noise=noise_of(config) or Noise())
    classes = data.classes or ()
    if isinstance(config.class_weights, dict):
        return Criterion(class_weights=tuple(_weights_by_name(config.class_weights, classes)))
    rows = np.bincount(np.asarray(data.target)[training].astype(np.int64), minlength=len(classes))
    weights = np.where(rows > 0, len(training) / ((rows > 0).sum() * np.maximum(rows, 1)), 1.0)
    return Criterion(class_weights=tuple(weights.tolist()))


def fitted_criterion(
    config: Configuration, class_weights: Sequence[float] | None, sigma2: float, residuals: Tensor | None = None
) -> Criterion:
    """How a fitted model judges further rows: with the class weights and residual variances it was fitted with."""
    noise = noise_of(config) or Noise()
    return Criterion(
        class_weights=None if class_weights is None else tuple(float(weight) for weight in class_weights),
        noise=noise,
        scale=1.0 / noise.weight(sigma2) if noise.density == "laplace" else None,
        residuals=residuals,
    )


def _weights_by_name(weights: dict[str, float], classes: Sequence[str]) -> list[float]:
    """Weights in the order of the classes; E302 unless every class has one."""
    if set(weights) != set(classes):
        raise ConfigError(
            "class_weights has to name every class once",
            code="E302",
            column="class_weights",
            remedy=f"the classes are {', '.join(classes)}",
        )
    return [float(weights[name]) for name in classes]


def start_at_frequencies(task: str, shared: dict[str, Tensor], training: GroupedDataset, scaler: Scaler) -> None:
    """Let training of ordered classes and counts begin at how often they occur: bias and thresholds, in place."""
    bias = shared[[name for name in shared if name.startswith("layers.") and name.endswith(".bias")][-1]]
    target = np.asarray(training.target)
    if task == "ordinal":
        counts = np.bincount(target.astype(np.int64), minlength=len(training.classes or ())) + 0.5
        shares = np.cumsum(counts)[:-1] / counts.sum()
        cuts = np.log(shares / (1.0 - shares))
        bias.fill_(-float(cuts[0]))
        shared[GAPS].copy_(torch.as_tensor(np.log(np.diff(cuts))))
    if task == "count":
        exposure = 1.0 if scaler.exposure is None else np.exp(scaler.features(training)[:, -1]).mean()
        bias.fill_(float(np.log(max(target.mean(), 0.5 / len(target)) / exposure)))


def start_at_maximum(problem: ProblemParts, shared: dict[str, Tensor]) -> None:
    """Let training of a linear network begin at the maximum of the likelihood without person effects, in place.

    As least squares do for a regression: variances are judged around sensible predictions at once. Where the maximum
    lies at infinity (classes that a predictor divides), a hundred steps are where it stops.
    """
    nobody = EffectLayout(names=(), shapes=(), labels=())
    for value in shared.values():
        value.requires_grad_(True)
    steps = torch.optim.LBFGS(list(shared.values()), max_iter=100, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def closure() -> float:
        steps.zero_grad()
        total = 0.0
        for piece in problem.pieces():
            none = piece.inputs.new_zeros((len(piece.persons), 0))
            loss = piece.losses(shared, nobody, none).sum() / problem.rows
            loss.backward()
            total += float(loss.detach())
        return total

    before = {name: value.detach().clone() for name, value in shared.items()}
    steps.step(closure)
    for name, value in shared.items():
        value.requires_grad_(False)
        value.grad = None
        if not torch.isfinite(value).all():
            value.copy_(before[name])


def predicted(task: str, outputs: np.ndarray, scaler: Scaler) -> np.ndarray:
    """What outputs of the network say about the outcome.

    Args:
        task: kind of outcome; no chain.
        outputs: of each row (rows, outputs), float64.
        scaler: units of a numeric target.

    Returns:
        Values (rows,) in the units of the target (of several (rows, targets)), means of counts, or class probabilities
        (rows, classes).
    """
    if task == "regression":
        values = outputs * scaler.targets.scale + scaler.targets.mean
        return values if values.shape[1] > 1 else values[:, 0]
    if task == "count":
        return np.exp(outputs[:, 0])
    if task == "multiclass":
        return softmax(outputs, axis=1)
    above = expit(outputs)  # binary: one threshold
    ones, zeros = np.ones((len(above), 1)), np.zeros((len(above), 1))
    return -np.diff(np.concatenate([ones, above, zeros], axis=1), axis=1)
