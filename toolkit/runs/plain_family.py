"""Networks without random effects that learn in mini-batches: one-hot inputs, embeddings, LSTM, maps, kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models.effect_tables import COMPONENTS, EFFECTS, ORDER
from toolkit.models.evaluation import metrics_table, predictions_table
from toolkit.models.outcomes import check_outcome
from toolkit.models.plain import LevelTable, PlainConfig, Reading
from toolkit.models.plain_network import PlainNetwork, PlainTrained
from toolkit.models.plain_training import outputs_of, train_plain, with_training_outcomes
from toolkit.models.tables import persons_table
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Progress
from toolkit.runs.mixed_effects_family import saved_scaler

TABLES = "tables."
TRACE = ("epoch", "objective", "loss", "penalty", "sigma2", "variance_mean", "validation", "lr")


def check(config: PlainConfig, data: GroupedDataset) -> None:
    """Refuse several targets, and data that this network is not for."""
    check_outcome(config, data)
    config.check(data)


def train(
    config: PlainConfig,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    device: torch.device,
    progress: Progress | None,
    keeper: Keeper | None,
) -> PlainTrained:
    """Fit the model."""
    return train_plain(config, data, labels, generator=generator, device=device, progress=progress, keeper=keeper)


def adapt(
    network: PlainNetwork,
    sigma2: float,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    settings: Any,
    predict_only: bool,
    progress: Progress | None,
) -> PlainTrained:
    """There is nothing to adapt (E302)."""
    raise ConfigError(
        "this model has no effects that new persons could have: there is nothing to adapt",
        code="E302",
        column="model",
        remedy="predict with it as it is, or fit a model with person effects",
    )


def predictions(network: PlainNetwork, data: GroupedDataset, labels: np.ndarray) -> pd.DataFrame:
    """Truth and prediction of every row, from the outcomes of training rows alone."""
    known = with_training_outcomes(data, labels)
    values = network.predict(known), network.predict(known, "population")
    return predictions_table(network, data, labels, values=values)


def tables(trained: PlainTrained, data: GroupedDataset, labels: np.ndarray) -> dict[str, pd.DataFrame]:
    """Every table of the run folder, by name."""
    persons = persons_table(data, labels)
    rows = predictions(trained.network, data, labels)
    return {
        "persons": persons,
        "random_effects": pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in EFFECTS.items()}),
        "variance_components": _components(trained),
        "predictions": rows,
        "metrics": metrics_table(rows, persons, task=trained.network.task),
        "trace": _trace(trained),
    }


def _components(trained: PlainTrained) -> pd.DataFrame:
    """The residual row of a numeric target; nothing else varies."""
    rows = []
    if trained.residual_variance is not None:
        found = trained.residual_variance
        values = {"variance": found, "sd": np.sqrt(found), "share": 1.0, "correlation": np.nan, "at_boundary": False}
        rows.append({"term": "residual", "parameter": "residual", **values})
    return pd.DataFrame(rows, columns=ORDER).astype(COMPONENTS)


def _trace(trained: PlainTrained) -> pd.DataFrame:
    """Training by epoch."""
    frame = pd.DataFrame(list(trained.outcome.trace)).reindex(columns=list(TRACE)).astype("float64")
    return frame.assign(loss=frame["objective"], phase=pd.array(["training"] * len(frame), dtype="string"))


def generic_tensors(trained: PlainTrained) -> dict[str, Tensor]:
    """What everybody shares; the numbers of single levels are not among it."""
    shared = trained.network.shared
    tensors = {f"shared.{name}": value for name, value in shared.items() if not name.startswith(TABLES)}
    if trained.residual_variance is not None:
        tensors["sigma2"] = torch.tensor(trained.residual_variance, dtype=torch.float64)
    return tensors


def personal_tensors(trained: PlainTrained) -> dict[str, Tensor]:
    """Weights and embeddings of persons, and of levels of other factors: personal data."""
    found = {f"shared.{name}": v for name, v in trained.network.shared.items() if name.startswith(TABLES)}
    return found or {"nobody": torch.zeros(0)}


def describe(trained: PlainTrained, pseudonym: Mapping[str, str]) -> dict[str, Any]:
    """What is needed beside the tensors to predict again."""
    network = trained.network
    reading = network.reading
    return {
        "effect_names": [],
        "effect_labels": [],
        "factors": [{"grouping": table.grouping, "levels": len(table.levels)} for table in (network.tables)],
        "elsewhere": list(network.scaler.elsewhere),
        "low": None if reading.low is None else reading.low.tolist(),
        "high": None if reading.high is None else reading.high.tolist(),
    }


def labels(trained: PlainTrained) -> Sequence[str]:
    """Labels of the persons that the model knows of."""
    return trained.network.levels


def names_of_experts(trained: PlainTrained, pseudonym: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """There are none."""
    return {}


def restore(
    config: PlainConfig, about: Mapping[str, Any], generic: Mapping[str, Tensor], personal: Mapping[str, Tensor]
) -> PlainNetwork:
    """The network of a run folder."""
    persons, known = tuple(about["levels"]), about.get("further_levels", {})
    further = tuple(
        LevelTable(grouping=factor["grouping"], levels=tuple(known.get(factor["grouping"], ())))
        for factor in about["factors"][1:]
    )
    reading = Reading(
        scaler=replace(saved_scaler(about, generic), elsewhere=tuple(about["elsewhere"])),
        factors=tuple(
            LevelTable(grouping=factor["grouping"], levels=("",) * factor["levels"]) for factor in about["factors"]
        ),
        outputs=outputs_of(config, about["classes"]),
        low=None if about["low"] is None else np.array(about["low"]),
        high=None if about["high"] is None else np.array(about["high"]),
    )
    saved = {**generic, **personal}
    shared = {name.removeprefix("shared."): value for name, value in saved.items() if name.startswith("shared.")}
    module = config.build(reading)
    module.to(dtype=torch.float64 if config.precision == "float64" else torch.float32)
    module.load_state_dict(shared | _of_nobody(shared, module.state_dict()))
    return PlainNetwork(
        config=config,
        task=config.task,
        reading=reading,
        classes=tuple(about["classes"]) if about["classes"] is not None else None,
        grouping=about["grouping"],
        levels=persons,
        further=further,
        module=module.requires_grad_(False).eval(),
    )


def _of_nobody(shared: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """In a copy without persons: the mean in place of every level's numbers, zero where a model keeps no mean."""
    found = {}
    for name, value in wanted.items():
        if name.startswith(TABLES) and name not in shared:
            mean = shared.get(f"mean_{name.removeprefix(TABLES)}", value.new_zeros(value.shape[1]))
            found[name] = mean.expand_as(value)
    return found
