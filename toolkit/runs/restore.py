"""A fitted network back from its run folder."""

from __future__ import annotations

from dataclasses import replace

from safetensors.torch import load
from torch import Tensor

import toolkit.models as models
from toolkit.data.pseudonyms import read_key
from toolkit.effects.random_effects import EffectLayout, RandomEffects
from toolkit.errors import RunFolderError
from toolkit.models.fitted import FittedNetwork
from toolkit.models.networks import Mlp
from toolkit.models.prepare import Scaler
from toolkit.models.training import task_of
from toolkit.runs.folder import SavedRun


def restore_network(run: SavedRun) -> FittedNetwork:
    """Rebuild the network; persons go by their labels if the key of the pseudonyms lies beside the folder.

    Raises:
        RunFolderError: E401 or E402 for missing or damaged files, E404 for a model this version does not know.
    """
    about = run.manifest["network"]
    kind = getattr(models, about["config_class"], None)
    if kind is None:
        raise RunFolderError("this version does not know the run's model", code="E404", remedy="update the toolkit")
    config = kind(**_settings(run.manifest["config"]))
    generic, personal = _tensors(run, "generic.safetensors"), _tensors(run, "persons.safetensors")
    shared = {name.removeprefix("shared."): value for name, value in generic.items() if name.startswith("shared.")}
    names = tuple(about["effect_names"])
    layout = EffectLayout(
        names=names,
        shapes=tuple(tuple(shared[name].shape) for name in names),
        labels=tuple(about["effect_labels"]),
        mixing=generic.get("mixing"),
    )
    scaler = Scaler(
        names=tuple(about["features"]),
        dropped=tuple(about["features_dropped"]),
        mean=generic["feature_mean"].numpy(),
        scale=generic["feature_scale"].numpy(),
        target_mean=about["target_mean"],
        target_scale=about["target_scale"],
    )
    outputs = shared[f"layers.{len(config.hidden)}.bias"].shape[0]
    network = FittedNetwork(
        config=config,
        task=task_of(config),
        scaler=scaler,
        classes=tuple(about["classes"]) if about["classes"] is not None else None,
        grouping=about["grouping"],
        levels=tuple(run.manifest["levels"]),
        module=Mlp(len(scaler.names), config.hidden, outputs),
        shared=shared,
        effects=RandomEffects(layout=layout, eta=personal["eta"], covariance=generic["covariance"]),
    )
    return _by_label(network, run)


def _by_label(network: FittedNetwork, run: SavedRun) -> FittedNetwork:
    """Persons under their own labels where the key is at hand; the pseudonyms stay valid otherwise."""
    path = run.path.with_name(f"{run.path.name}.key.csv")
    label = {name: own for own, name in read_key(path).get("person", {}).items()}
    return replace(network, levels=tuple(label.get(level, level) for level in network.levels))


def _settings(config: dict) -> dict:
    """Settings as the configuration class takes them (JSON turns tuples into lists)."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}


def _tensors(run: SavedRun, name: str) -> dict[str, Tensor]:
    """Tensors of a verified file; safetensors holds no code."""
    return {key: value.clone() for key, value in load(run.content(name)).items()}
