"""Networks of personalised experts (PEN) and their shared network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError, DataError
from toolkit.models.evaluation import metrics_table, predictions_table
from toolkit.models.expert_groups import ExpertGroups
from toolkit.models.extractors import feature_map
from toolkit.models.pen import PenConfig
from toolkit.models.pen_adaptation import adapt_experts
from toolkit.models.pen_network import PenNetwork, own_extractor
from toolkit.models.pen_tables import (
    expert_components,
    expert_effects,
    experts_table,
    gate_table,
    pen_trace,
)
from toolkit.models.pen_training import PenTrained, train_pen
from toolkit.models.prepare import TargetScale
from toolkit.models.tables import persons_table
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Progress
from toolkit.runs.mixed_effects_family import saved_scaler


def check(config: PenConfig, data: GroupedDataset) -> None:
    """Refuse several grouping factors, and targets that are not known in every row; several targets are welcome."""
    unknown = np.isnan(np.asarray(data.targets)).any(axis=1)
    if unknown.any():
        raise DataError(
            f"{int(unknown.sum())} row(s) in which a target is not known: experts need all targets of a row",
            code="E111",
            column="targets",
            rows=(np.asarray(data.row_numbers)[unknown] + 2).tolist(),
            remedy="Drop these rows, or fit NmeMlp or GenericMlp, for which the other targets of a row count",
        )
    if len(data.groupings) > 1:
        raise ConfigError(
            "this model takes one grouping factor, the person", code="E302", column="groups", remedy="name one column"
        )


def train(
    config: PenConfig,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    device: torch.device,
    progress: Progress | None,
    keeper: Keeper | None,
) -> PenTrained:
    """Fit the model."""
    return train_pen(config, data, labels, generator=generator, device=device, progress=progress, keeper=keeper)


def adapt(
    network: PenNetwork,
    sigma2: float,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    settings: Any,
    predict_only: bool,
    progress: Progress | None,
) -> PenTrained:
    """Experts and gate trained further; see `toolkit.models.pen_adaptation`."""
    chosen = {} if settings is None else {name: getattr(settings, name) for name in ("epochs", "lr", "fresh", "soften")}
    return adapt_experts(
        network, data, labels, generator=generator, predict_only=predict_only, progress=progress, **chosen
    )


def predictions(network: PenNetwork, data: GroupedDataset, labels: np.ndarray) -> pd.DataFrame:
    """Truth and prediction of every row."""
    return predictions_table(network, data, labels)


def tables(trained: PenTrained, data: GroupedDataset, labels: np.ndarray) -> dict[str, pd.DataFrame]:
    """Every table of the run folder, by name."""
    network = trained.network
    persons = persons_table(data, labels)
    rows = predictions_table(network, data, labels)
    found = {
        "persons": persons,
        "random_effects": expert_effects(trained),
        "variance_components": expert_components(trained, _mean_square(network, data, labels)),
        "predictions": rows,
        "metrics": metrics_table(rows, persons, task=network.task),
        "trace": pen_trace(trained),
    }
    if network.has_experts:
        found |= {"experts": experts_table(trained), "gate": gate_table(network, data, labels)}
    return found


def _mean_square(network: PenNetwork, data: GroupedDataset, labels: np.ndarray) -> float:
    """Mean over the training rows of the sum of squared extracted features."""
    rows = np.flatnonzero(labels == "train")
    if not network.has_experts or not len(rows):
        return 0.0
    return float(network.extracted(data.take(rows)).double().square().sum(dim=1).mean())


def generic_tensors(trained: PenTrained) -> dict[str, Tensor]:
    """Extractor, shared head, gate, variances; experts are persons' and not among them."""
    network = trained.network
    tensors = {f"shared.{name}": value for name, value in network.shared.items() if not _personal(name)}
    tensors["target_mean"] = torch.as_tensor(np.array(network.targets.mean))
    tensors["target_scale"] = torch.as_tensor(np.array(network.targets.scale))
    return tensors


def personal_tensors(trained: PenTrained) -> dict[str, Tensor]:
    """Experts, the gate that recognises persons, and the experts' posterior variances: personal data."""
    tensors = {f"shared.{name}": value for name, value in trained.network.shared.items() if _personal(name)}
    if trained.posterior is not None:
        tensors["posterior_variance"] = torch.as_tensor(np.array(trained.posterior))
    return tensors


def _personal(name: str) -> bool:
    return name.startswith(("experts.", "gate."))


def labels(trained: PenTrained) -> Sequence[str]:
    """Labels of the persons that the model knows of: those it was trained with, and those behind its experts."""
    members = (label for inside in trained.network.groups.members for label in inside)
    return list(dict.fromkeys([*trained.network.levels, *members]))


def names_of_experts(trained: PenTrained, pseudonym: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Of each expert by name: its name with pseudonyms, and the persons behind it."""
    before, after = trained.network.groups, _pseudonymous(trained.network.groups, pseudonym)
    lists = [", ".join(members) for members in after.members]
    return {
        "expert": dict(zip(before.names, after.names, strict=True)),
        "members": dict(zip(before.names, lists, strict=True)),
    }


def _pseudonymous(groups: ExpertGroups, pseudonym: Mapping[str, str]) -> ExpertGroups:
    """The experts with the persons behind them under their pseudonyms."""
    members = tuple(tuple(pseudonym[label] for label in inside) for inside in groups.members)
    names = [
        new[0] + name.removeprefix(old[0]) if len(old) == 1 and name in (old[0], *_copies(old[0], groups)) else name
        for name, old, new in zip(groups.names, groups.members, members, strict=True)
    ]
    return replace(groups, names=tuple(names), members=members)


def _copies(label: str, groups: ExpertGroups) -> list[str]:
    """What the experts of a person with several are called."""
    return [f"{label} ({copy + 1})" for copy in range(groups.per_group)]


def describe(trained: PenTrained, pseudonym: Mapping[str, str]) -> dict[str, Any]:
    """Targets and experts."""
    network = trained.network
    groups = _pseudonymous(network.groups, pseudonym)
    return {
        "target_names": list(network.target_names),
        "effect_names": [],
        "effect_labels": [],
        "experts": {
            "names": list(groups.names),
            "members": [list(inside) for inside in groups.members],
            "per_group": groups.per_group,
        },
    }


def restore(
    config: PenConfig, about: Mapping[str, Any], generic: Mapping[str, Tensor], personal: Mapping[str, Tensor]
) -> PenNetwork:
    """The network of a run folder."""
    tensors = {**generic, **personal}
    shared = {name.removeprefix("shared."): value for name, value in tensors.items() if name.startswith("shared.")}
    scaler = saved_scaler(about, generic)
    known = about["experts"]
    groups = ExpertGroups(
        names=tuple(known["names"]),
        of_person=np.zeros(0, dtype=np.int64),
        per_group=known["per_group"],
        members=tuple(tuple(labels) for labels in known["members"]),
    )
    hidden = () if isinstance(config.extractor, dict) else config.hidden
    return PenNetwork(
        config=config,
        task=config.task,
        scaler=scaler,
        targets=TargetScale(mean=generic["target_mean"].numpy(), scale=generic["target_scale"].numpy()),
        target_names=tuple(about["target_names"]),
        classes=tuple(about["classes"]) if about["classes"] is not None else None,
        grouping=about["grouping"],
        levels=tuple(about["levels"]),
        groups=groups,
        features=feature_map(hidden, own_extractor(config), len(scaler.names)),
        shared=shared,
    )
