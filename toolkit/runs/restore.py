"""A fitted network back from its run folder."""

from __future__ import annotations

from dataclasses import replace

from safetensors.torch import load
from torch import Tensor

import toolkit.models as models
from toolkit.data.pseudonyms import FACTOR, read_key
from toolkit.errors import ConfigError, RunFolderError
from toolkit.models.config import Config
from toolkit.models.extractors import Extractor
from toolkit.models.fitted import FittedNetwork
from toolkit.models.modules import Module
from toolkit.models.plain_network import PlainNetwork
from toolkit.runs.families import AnyNetwork, family_of
from toolkit.runs.folder import SavedRun


def restore_network(run: SavedRun, *, extractor: Extractor | None = None, module: Module | None = None) -> AnyNetwork:
    """Rebuild the network; persons go by their labels if the key of the pseudonyms lies beside the folder.

    Args:
        run: the run folder.
        extractor: the feature extractor of your own that the run was fitted with, which is not in the folder; its
            parameters are.
        module: likewise, the network of your own.

    Raises:
        RunFolderError: E401 or E402 for missing or damaged files, E404 for a model this version does not know.
        ConfigError: E302 for an extractor or a module that is not the run's.
    """
    about = run.manifest["network"]
    kind = getattr(models, about["config_class"], None)
    if kind is None:
        raise RunFolderError("this version does not know the run's model", code="E404", remedy="update the toolkit")
    config = kind(**_settings(run.manifest["config"]))
    for setting, given in (("extractor", extractor), ("module", module)):
        if given is not None:
            config = _with_own(config, setting, given)
    generic = _tensors(run, "generic.safetensors")
    personal = nobody(generic) if run.without_persons else _tensors(run, "persons.safetensors")
    about = {**about, "levels": run.manifest["levels"], "further_levels": run.manifest.get("further_levels", {})}
    return _by_label(family_of(config).restore(config, about, generic, personal), run)


def nobody(generic: dict[str, Tensor]) -> dict[str, Tensor]:
    """The personal tensors of a copy without persons: effects of nobody, one row of zeros that no label points to."""
    if "covariance" not in generic:  # nothing had effects
        return {}
    covariance = generic["covariance"]
    return {"eta": covariance.new_zeros((1, covariance.shape[0]))}


def _with_own(config: Config, setting: str, given: Extractor | Module) -> Config:
    """The configuration with the extractor or module put back in.

    Raises:
        ConfigError: E302 if the run had none, or another one.
    """
    saved = getattr(config, setting, None)
    word = "an extractor" if setting == "extractor" else "a module"
    if not isinstance(saved, dict):
        raise ConfigError(f"the run was fitted without {word} of its own", code="E302", column=setting)
    about = given.describe()
    if any(about.get(name) != saved[name] for name in saved if name not in ("sha256", "frozen")):
        raise ConfigError(
            f"this {setting} is not the one the run was fitted with",
            code="E302",
            column=setting,
            remedy=f"it needs a {saved['class']} with {saved['parameters']} parameters",
        )
    return config.model_copy(update={setting: given})


def _by_label(network: AnyNetwork, run: SavedRun) -> AnyNetwork:
    """Persons under their own labels where the key is at hand; the pseudonyms stay valid otherwise."""
    key = read_key(run.path.with_name(f"{run.path.name}.key.csv"))
    found = replace(network, levels=_labels(key.get("person", {}), network.levels))
    if not isinstance(found, FittedNetwork | PlainNetwork) or not found.further:
        return found
    cluster = run.manifest["study"].get("cluster_name")
    further = tuple(
        replace(factor, levels=_labels(key.get(_role(factor.grouping, cluster), {}), factor.levels))
        for factor in found.further
    )
    return replace(found, further=further)


def _role(grouping: str, cluster: str | None) -> str:
    """Role of a further grouping factor's levels in the key."""
    return "cluster" if grouping == cluster else f"{FACTOR}{grouping}"


def _labels(names: dict[str, str], levels: tuple[str, ...]) -> tuple[str, ...]:
    """Labels behind pseudonyms; a pseudonym without one stays."""
    label = {name: own for own, name in names.items()}
    return tuple(label.get(level, level) for level in levels)


def _settings(config: dict) -> dict:
    """Settings as the configuration class takes them (JSON turns tuples into lists)."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in config.items()}


def _tensors(run: SavedRun, name: str) -> dict[str, Tensor]:
    """Tensors of a verified file; safetensors holds no code."""
    return {key: value.clone() for key, value in load(run.content(name)).items()}
