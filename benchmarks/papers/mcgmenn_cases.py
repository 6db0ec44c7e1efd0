"""What the tables of the MC-GMENN paper share: the models, one fit judged, means beside the published numbers."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from toolkit.data.grouped import GroupedDataset
from toolkit.effects.formula import RandomTerm
from toolkit.errors import ToolkitError, ToolkitWarning
from toolkit.metrics import auc_one_vs_one
from toolkit.models import Armed, EmbeddingMlp, McGmenn, OneHotMlp, TargetEncodingMlp
from toolkit.models.comparators.one_hot import single
from toolkit.models.config import Configuration
from toolkit.models.dropping import DroppableMlp
from toolkit.models.effect_tables import variance_table
from toolkit.models.plain import PlainConfig, Reading
from toolkit.models.plain_training import with_training_outcomes
from toolkit.runs.families import family_of

COMPARATORS = ("ignore", "one-hot", "target-encoding", "embeddings")
# with the toolkit's defaults; trained and stopped as the comparators are; with the paper's settings
OF_EFFECTS = ("mcgmenn", "mcgmenn-validated", "mcgmenn-published")
MODELS = (*COMPARATORS, "armed", *OF_EFFECTS)


class IgnoreMlp(PlainConfig):
    """The perceptron of the comparators on the features alone."""

    several_classes = True

    def build(self, reading: Reading) -> nn.Module:
        """The network."""
        return IgnoreNetwork(reading.scaler.width, self.hidden, reading.outputs)


class IgnoreNetwork(DroppableMlp):
    """A perceptron with one output a row, or one a class."""

    def forward(self, rows: Tensor) -> Tensor:
        """Outputs of each row."""
        return single(super().forward(rows))


def begin() -> None:
    """One thread; what the first step of an optimiser loads is loaded, so that no fit is charged with it."""
    torch.set_num_threads(1)
    for kind in (torch.optim.Adam, torch.optim.AdamW):
        value = torch.ones(2, requires_grad=True)
        value.square().sum().backward()
        kind([value]).step()


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """How the networks of a table are trained, by validation rows; MC-GMENN goes through its own schedule."""

    hidden: tuple[int, ...]
    dropout: float
    lr: float
    batch: int
    epochs: int
    patience: int

    def configuration(self, model: str, task: str, factors: Sequence[str]) -> Configuration:
        """Settings of a model."""
        network: dict[str, Any] = {"hidden": self.hidden, "dropout": self.dropout, "task": task}
        early = {"lr": self.lr, "batch": self.batch, "epochs": self.epochs, "patience": self.patience}
        if model == "mcgmenn":
            return McGmenn(random=_levels(factors), **{**network, "dropout": 0.0})
        if model == "mcgmenn-validated":
            return McGmenn(random=_levels(factors), **network, **early, schedule="plateau")
        if model == "mcgmenn-published":
            return McGmenn(random=_levels(factors), **network, **early, as_published=True)
        if model == "armed":
            return Armed(**network, **early, schedule="constant", adversary=0.0)
        kinds = {
            "ignore": IgnoreMlp, "one-hot": OneHotMlp, "target-encoding": TargetEncodingMlp,
            "embeddings": EmbeddingMlp,
        }  # fmt: skip
        return kinds[model](**network, **early, schedule="constant")


def _levels(factors: Sequence[str]) -> tuple[RandomTerm, ...]:
    """The level differs between those of every factor."""
    return tuple(RandomTerm(grouping=name) for name in factors)


def usable(names: Iterable[str], factors: int) -> list[str]:
    """The models that take so many factors."""
    return [name for name in names if factors == 1 or name != "armed"]


def labels_for(model: str, labels: np.ndarray) -> np.ndarray:
    """MC-GMENN goes through its epochs, and trains on the rows that validate the others."""
    return np.where(labels == "validation", "train", labels) if model == "mcgmenn" else labels


def fitted(config: Configuration, data: GroupedDataset, labels: np.ndarray, *, seed: int) -> tuple[Any, float]:
    """What training brings, and its CPU seconds."""
    started = time.process_time()
    trained = family_of(config).train(
        config, data, labels, generator=torch.Generator().manual_seed(seed), device=torch.device("cpu"),
        progress=None, keeper=None,
    )  # fmt: skip
    return trained, time.process_time() - started


def peak_gib() -> float:
    """The most memory that this process has taken so far, in GiB (Linux).

    Not ``ru_maxrss``: a process begins with that of the one that started it.
    """
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) / 2**20


def case(protocol: Protocol, model: str, data: GroupedDataset, labels: np.ndarray, *, seed: int) -> dict[str, Any]:
    """One model fitted and judged: area under the curve, CPU seconds, epochs; of MC-GMENN also variances.

    ``relative``, of the models with effects, are CPU seconds relative to the same network without clustering features,
    trained right after it for as many epochs.
    """
    task = "binary" if len(data.classes or ()) == 2 else "multiclass"
    config = protocol.configuration(model, task, [factor.name for factor in data.groupings])
    labels = labels_for(model, labels)
    test = labels == "test"
    truth = np.asarray(data.target)[test].astype(np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ToolkitWarning)
        try:
            trained, spent = fitted(config, data, labels, seed=seed)
        except (ToolkitError, MemoryError) as error:
            return {"auc": math.nan, "error": str(error)[:200]}
        chances = trained.network.predict(with_training_outcomes(data, labels).take(test))
        found = {"auc": auc_one_vs_one(truth, chances), "cpu_s": spent, "epochs": trained.outcome.epochs}
        if model not in COMPARATORS:
            _, without = fitted(_alone(config, trained.outcome.epochs), data, labels, seed=seed)
            found |= {"ignore_cpu_s": without, "relative": spent / without}
        if model in OF_EFFECTS:
            found["variances"] = variances(trained)
    return found


def _alone(config: Any, epochs: int) -> IgnoreMlp:
    """The same network without clustering features, trained for as many epochs with as many steps."""
    planned = config.schedule == "one-cycle"
    return IgnoreMlp(
        hidden=config.hidden, dropout=config.dropout, task=config.task, lr=config.lr, batch=config.batch,
        epochs=epochs, patience=epochs, optimiser="adamw" if planned else "adam", weight_decay=config.weight_decay,
        schedule="one-cycle" if planned else "constant",
    )  # fmt: skip


def variances(trained: Any) -> dict[str, list[float]]:
    """Estimated variances of each factor's effects, one a class."""
    table = variance_table(trained)
    return {
        str(term): part["variance"].astype(float).tolist()
        for term, part in table[table["term"] != "residual"].groupby("term", sort=False)
    }


def variance_error(found: Mapping[str, Sequence[float]], truth: Mapping[str, Sequence[float]]) -> float:
    """Mean absolute error of the variances over factors and classes, as in Table 3."""
    each = [np.abs(np.broadcast_to(found[name], len(true)) - np.asarray(true)).mean() for name, true in truth.items()]
    return float(np.mean(each))


def summary(
    cases: Sequence[Mapping[str, Any]], keys: Sequence[str], published: Mapping[tuple[Any, ...], tuple[float, float]]
) -> pd.DataFrame:
    """Means over seeds or folds beside the published areas; ``reached``: no less than these minus a standard error.

    Args:
        cases: one a fit.
        keys: columns that tell the cells apart; the last is the model.
        published: mean and standard error by these.
    """
    rows = []
    for key, part in pd.DataFrame(list(cases)).groupby(list(keys), sort=False):
        assert isinstance(key, tuple)
        model = "mcgmenn" if key[-1] in OF_EFFECTS else key[-1]
        mean, error = published.get((*key[:-1], model), (math.nan, math.nan))
        spread = part["auc"].std() / math.sqrt(len(part)) if len(part) > 1 else math.nan
        allowed = error if math.isfinite(error) else np.nan_to_num(spread)
        row = {**dict(zip(keys, key, strict=True)), "fits": len(part), "auc": part["auc"].mean(), "se": spread}
        row |= {"published": mean, "less se": mean - allowed}
        row["reached"] = "" if math.isnan(mean) else ("yes" if row["auc"] >= row["less se"] else "no")
        row["s_per_epoch"] = (part["cpu_s"] / part["epochs"]).mean()
        for name in ("cpu_s", "relative", "variance_mae", "variance_mae_drawn", "variance_mae_known"):
            row[name] = part[name].mean() if name in part else math.nan
        if "peak_gib" in part and part["peak_gib"].notna().any():
            row["peak_gib"] = part["peak_gib"].max()
        rows.append(row)
    return pd.DataFrame(rows)


def as_json(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Lines of a table; what is not known is null."""
    lines = table.astype(object).where(table.notna(), None).to_dict("records")
    return [{str(name): value for name, value in line.items()} for line in lines]
