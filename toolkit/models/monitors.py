"""What decides when training stops and which state is kept: the validation loss, or a metric of the validation rows."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from toolkit import metrics
from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError, ToolkitWarning
from toolkit.optimise.watching import Watch

Metric = Callable[..., float]
LOSS, BY_PERSON = "loss", "_by_person"
# Metrics of which more is better; all are 1 at best. Of the others less is better.
LARGER = {"pearson", "ccc", "accuracy", "krippendorff_alpha", "ordinal_alpha", "kendall", "auc"}
OF_CHANCES = {"auc", "ranked_probability_score"}
_CLASSES: dict[str, Metric] = {
    "krippendorff_alpha": metrics.krippendorff_alpha, "accuracy": metrics.accuracy, "auc": metrics.auc,
}  # fmt: skip
MONITORS: dict[str, dict[str, Metric]] = {
    "regression": {
        "rmse": metrics.rmse, "nrmse": metrics.nrmse, "pearson": metrics.pearson, "ccc": metrics.ccc,
    },
    "count": {"poisson_deviance": metrics.poisson_deviance, "rmse": metrics.rmse, "pearson": metrics.pearson},
    "ordinal": {
        "ordinal_alpha": metrics.ordinal_alpha, "kendall": metrics.kendall,
        "ranked_probability_score": metrics.ranked_probability_score, **_CLASSES,
    },
    "binary": _CLASSES,
    "multiclass": _CLASSES,
    "sequence": _CLASSES,
}  # fmt: skip


def check_monitor(name: str, task: str) -> None:
    """Refuse what is no metric of a task.

    Raises:
        ConfigError: E302 with the nearest name and all that there are.
    """
    known = [LOSS, *MONITORS[task], *(metric + BY_PERSON for metric in MONITORS[task])]
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ConfigError(
            f"monitor: '{name}' is no metric of task '{task}'",
            code="E302",
            column="monitor",
            remedy=f"{hint}Known: {', '.join(known)}",
        )


def watch(name: str, task: str, network: Any, data: GroupedDataset, loss: Callable[[], float]) -> Watch:
    """A metric of the validation rows, as the training loop watches it.

    Undefined values (a constant prediction has no correlation) are the worst there are. With ``_by_person`` it is the
    mean over the persons for whom the metric is defined. Of several targets it is the mean over the targets.

    Args:
        name: a name `check_monitor` knows, other than ``loss``.
        task: kind of outcome.
        network: predicts with the tensors being trained (`toolkit.models.fitted.FittedNetwork`).
        data: the validation rows, those with a label.
        loss: the validation loss.
    """
    plain = name.removesuffix(BY_PERSON)
    metric, truths, several = MONITORS[task][plain], np.asarray(data.targets).T, data.further_targets is not None

    def measured_of(truth: np.ndarray, found: np.ndarray) -> float:
        labelled = ~np.isnan(truth)
        truth, found = truth[labelled], found[labelled]
        if not np.isfinite(found).all():
            return float("nan")
        if name == plain:
            return metric(truth, found)
        return metrics.per_person(metric, truth, found, np.asarray(data.person)[labelled]).mean

    def measured() -> float:
        with warnings.catch_warnings():  # what there is to say about the rows was said when they were prepared
            warnings.simplefilter("ignore", ToolkitWarning)
            found = _prediction(network, data, task, chances=plain in OF_CHANCES)
        each = found.T if several else [found]
        return float(np.mean([measured_of(truth, own) for truth, own in zip(truths, each, strict=True)]))

    return Watch(loss=loss, metric=measured, larger=plain in LARGER, name=f"{name} of the validation rows")


def _prediction(network: Any, data: GroupedDataset, task: str, *, chances: bool) -> np.ndarray:
    """Numbers, codes of the predicted classes, or probabilities (rows, classes): what a run would report."""
    if task == "sequence" and not chances and network.config.prediction == "sequence":
        return network.decode(data)
    values = network.predict(data)
    return values if chances or task in {"regression", "count"} else values.argmax(axis=1)
