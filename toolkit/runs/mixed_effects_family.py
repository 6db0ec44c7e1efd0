"""Networks with person effects and their generic counterparts: NME-MLP, NME-CRF, MLP, CRF."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from toolkit.data.checks import check_further_factors, check_more_rows_than_effects, require_varying_target
from toolkit.data.grouped import GroupedDataset
from toolkit.effects.random_effects import EffectLayout, FactorEffects, RandomEffects
from toolkit.errors import ConfigError
from toolkit.models import Glmm, Lmm, Lmmnn, McGmenn, NmeCrf, NmeMlp
from toolkit.models.additive_network import AdditiveMlp, AdditiveNetwork, SlopeColumn, additive_network
from toolkit.models.chain_covariates import Covariates
from toolkit.models.chain_structure import forbidden_of, refuse_forbidden
from toolkit.models.config import Config, Configuration
from toolkit.models.covariate_table import covariate_table
from toolkit.models.effect_tables import effects_table
from toolkit.models.evaluation import metrics_table, predictions_table
from toolkit.models.fitted import FittedNetwork
from toolkit.models.glmm_fit import TrainedGlmm, train_glmm
from toolkit.models.lmm_fit import TrainedLmm, train_lmm
from toolkit.models.lmm_tables import fixed_effects_table, likelihood_table
from toolkit.models.lmmnn_binary import train_binary_lmmnn
from toolkit.models.lmmnn_fit import train_lmmnn
from toolkit.models.lmmnn_mapped import train_mapped
from toolkit.models.lmmnn_spatial import train_spatial
from toolkit.models.mcgmenn_fit import train_mcgmenn
from toolkit.models.mixed_estimate import TrainedMixed
from toolkit.models.modules import Module, is_linear, own_module
from toolkit.models.nme_adaptation import adapt_effects
from toolkit.models.outcome_networks import outcome_network
from toolkit.models.outcomes import check_outcome, exposure_of, fitted_criterion, task_of
from toolkit.models.own_network import AbsentNetwork, own_network
from toolkit.models.place_fields import describe_field, field_tensors, restored_field
from toolkit.models.prepare import Scaler, TargetScale
from toolkit.models.spatial_network import SpatialNetwork, components_table
from toolkit.models.tables import persons_table, trace_table, transitions_table
from toolkit.models.training import Trained
from toolkit.models.training import train as train_network
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Progress


def check(config: Configuration, data: GroupedDataset) -> None:
    """Refuse more effects than rows, and targets that the model cannot be about."""
    check_outcome(config, data)
    for name, values in zip(data.further_target_names, data.targets.T[1:], strict=True):
        require_varying_target(values, name, is_classification=False)
    linear = isinstance(config, NmeMlp) and config.task == "regression" and is_linear(config)
    if linear and len(data.groupings) == 1:
        check_more_rows_than_effects(data)
    if isinstance(config, NmeMlp | NmeCrf | Lmm | Glmm | Lmmnn | McGmenn):
        check_further_factors(data)
    if isinstance(config, NmeCrf) and config.weighting == "as_published" and len(data.groupings) > 1:
        raise ConfigError(
            "weighting='as_published' counts the rows of a person, and takes one grouping factor",
            code="E302",
            column="weighting",
            remedy="name one column as groups, or leave the weighting out",
        )
    refuse_forbidden(data, forbidden_of(config, data.classes))


def train(
    config: Configuration,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    device: torch.device,
    progress: Progress | None,
    keeper: Keeper | None,
) -> Trained:
    """Fit the model."""
    if isinstance(config, Lmm):
        return train_lmm(config, data, labels, progress=progress)
    if isinstance(config, Glmm):
        return train_glmm(config, data, labels, progress=progress)
    if isinstance(config, Lmmnn) and config.level_map is not None:
        return train_mapped(config, data, labels, generator=generator, device=device, progress=progress, keeper=keeper)
    if isinstance(config, Lmmnn) and config.spatial is not None:
        return train_spatial(config, data, labels, generator=generator, device=device, progress=progress, keeper=keeper)
    if isinstance(config, Lmmnn):
        chosen = train_binary_lmmnn if config.task == "binary" else train_lmmnn
        return chosen(config, data, labels, generator=generator, device=device, progress=progress, keeper=keeper)
    if isinstance(config, McGmenn):
        return train_mcgmenn(config, data, labels, generator=generator, device=device, progress=progress, keeper=keeper)
    assert isinstance(config, Config)
    return train_network(config, data, labels, generator=generator, device=device, progress=progress, keeper=keeper)


def adapt(
    network: FittedNetwork,
    sigma2: float,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    settings: Any,
    predict_only: bool,
    progress: Progress | None,
) -> Trained:
    """Effects of new persons; see `toolkit.models.nme_adaptation`."""
    if isinstance(network, SpatialNetwork):
        raise ConfigError(
            "effects of new persons beside a spatial effect are not estimated",
            code="E302",
            column="model",
            remedy="predict with it: known places and persons have their effects, new places get the field around them",
        )
    if not network.effects.layout.size:
        raise ConfigError(
            "nothing differs between persons in this model: there is nothing to adapt",
            code="E302",
            column="model",
            remedy="predict with it as it is, or fit a model with person effects",
        )
    if settings is not None:
        raise ConfigError(
            "these settings are for networks of experts; effects of new persons need none",
            code="E302",
            column="settings",
        )
    refuse_forbidden(data, network.forbidden)
    return adapt_effects(network, sigma2, data, labels)


def predictions(network: FittedNetwork, data: GroupedDataset, labels: np.ndarray) -> pd.DataFrame:
    """Truth and prediction of every row."""
    return predictions_table(network, data, labels)


def tables(trained: Trained, data: GroupedDataset, labels: np.ndarray) -> dict[str, pd.DataFrame]:
    """Every table of the run folder, by name."""
    persons = persons_table(data, labels)
    rows = predictions_table(trained.network, data, labels)
    found = {
        "persons": persons,
        "random_effects": effects_table(trained),
        "variance_components": components_table(trained),
        "predictions": rows,
        "metrics": metrics_table(rows, persons, task=trained.network.task, classes=trained.network.classes or ()),
        "trace": trace_table(trained),
    }
    if trained.network.task == "sequence":
        found["transitions"] = transitions_table(trained, data)
    if trained.network.covariates is not None:
        found["transition_covariates"] = covariate_table(trained, data, labels)
    if isinstance(trained, TrainedLmm | TrainedGlmm):
        found["fixed_effects"] = fixed_effects_table(trained)
    if isinstance(trained, TrainedMixed):
        found["likelihood"] = likelihood_table(trained)
    return found


def generic_tensors(trained: Trained) -> dict[str, Tensor]:
    """Shared parameters, variance components, standardisation."""
    network = trained.network
    tensors = {f"shared.{name}": value for name, value in network.shared.items()}
    tensors["covariance"] = network.effects.covariance
    tensors["sigma2"] = torch.tensor(trained.estimate.sigma2, dtype=torch.float64)
    if trained.estimate.residuals is not None:
        tensors["residuals"] = trained.estimate.residuals
    if network.effects.layout.mixing is not None:
        tensors["mixing"] = network.effects.layout.mixing
    for place, factor in enumerate(network.further):
        tensors[f"further.{place}.covariance"] = factor.effects.covariance
        if factor.effects.layout.mixing is not None:
            tensors[f"further.{place}.mixing"] = factor.effects.layout.mixing
    return tensors


def personal_tensors(trained: Trained) -> dict[str, Tensor]:
    """Person effects and their posterior covariances: personal data."""
    tensors = {"eta": trained.network.effects.eta}
    if trained.estimate.posterior is not None:
        tensors["posterior_covariance"] = trained.estimate.posterior.covariance
    for place, (factor, (_, posterior)) in enumerate(
        zip(trained.network.further, trained.estimate.further, strict=True)
    ):
        tensors[f"further.{place}.eta"] = factor.effects.eta
        tensors[f"further.{place}.posterior_covariance"] = posterior.covariance
    if isinstance(trained.network, SpatialNetwork):
        tensors |= field_tensors(trained.network.field)
    return tensors


def describe(trained: Trained, pseudonym: Mapping[str, str]) -> dict[str, Any]:
    """What is needed beside the tensors to predict again."""
    layout = trained.network.effects.layout
    about: dict[str, Any] = {"effect_names": list(layout.names), "effect_labels": list(layout.labels)}
    if layout.units is not None:
        about["effect_units"] = list(layout.units)
    if trained.network.further:
        about["further"] = [
            {
                "grouping": factor.grouping,
                "effect_names": list(factor.effects.layout.names),
                "effect_labels": list(factor.effects.layout.labels),
                "effect_units": None if (units := factor.effects.layout.units) is None else list(units),
            }
            for factor in trained.network.further
        ]
    covariates = trained.network.covariates
    if covariates is not None:
        about["covariates"] = {
            "names": list(covariates.names),
            "centre": covariates.centre.tolist(),
            "scale": covariates.scale.tolist(),
            "labels": [list(words) for words in covariates.labels],
        }
    if trained.network.target_names:
        scale = trained.network.scaler.targets
        means, scales = scale.mean.tolist(), scale.scale.tolist()
        about["targets"] = {"names": list(trained.network.target_names), "mean": means, "scale": scales}
    if isinstance(trained.network.module, AdditiveMlp):
        about["slope_columns"] = [asdict(column) for column in trained.network.module.columns]
    if isinstance(trained.network, SpatialNetwork):
        about["field"] = describe_field(trained.network.field)
    weights, found = trained.network.criterion.class_weights, trained.network.thresholds
    if weights is not None:
        about["class_weights"] = list(weights)
    if found is not None:
        about["thresholds"] = found.tolist()
    return about


def labels(trained: Trained) -> Sequence[str]:
    """Labels of the persons that the model knows of."""
    return trained.network.levels


def names_of_experts(trained: Trained, pseudonym: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """There are none."""
    return {}


def restore(
    config: Configuration, about: Mapping[str, Any], generic: Mapping[str, Tensor], personal: Mapping[str, Tensor]
) -> FittedNetwork:
    """The network of a run folder."""
    shared = {name.removeprefix("shared."): value for name, value in generic.items() if name.startswith("shared.")}
    # parameters before the counters of a module of one's own: what is computed takes its type from the first tensor
    shared = dict(sorted(shared.items(), key=lambda item: not item[1].is_floating_point()))
    layout = _saved_layout(about, shared, generic.get("mixing"))
    covariates = _saved_covariates(about)
    scaler = replace(
        saved_scaler(about, generic),
        elsewhere=covariates.names if covariates is not None else tuple(about.get("field", {}).get("names", ())),
        exposure=exposure_of(config),
    )
    kind: Any = AdditiveNetwork if "slope_columns" in about else FittedNetwork
    if "field" in about:
        kind = partial(SpatialNetwork, field=restored_field(about["field"], personal))
    return kind(
        config=config,
        task=task_of(config),
        scaler=scaler,
        classes=tuple(about["classes"]) if about["classes"] is not None else None,
        grouping=about["grouping"],
        levels=tuple(about["levels"]),
        module=_module(config, scaler, shared, about),
        shared=shared,
        effects=RandomEffects(layout=layout, eta=personal["eta"], covariance=generic["covariance"]),
        further=_saved_factors(about, shared, generic, personal),
        covariates=covariates,
        criterion=fitted_criterion(
            config, about.get("class_weights"), float(generic.get("sigma2", torch.ones(()))), generic.get("residuals")
        ),
        target_names=tuple(about.get("targets", {}).get("names", ())),
    )


def _saved_covariates(about: Mapping[str, Any]) -> Covariates | None:
    """The transition covariates of a run folder."""
    saved = about.get("covariates")
    if saved is None:
        return None
    return Covariates(
        names=tuple(saved["names"]),
        centre=np.array(saved["centre"]),
        scale=np.array(saved["scale"]),
        labels=tuple(tuple(words) for words in saved["labels"]),
    )


def _module(config: Configuration, scaler: Scaler, shared: Mapping[str, Tensor], about: Mapping[str, Any]) -> nn.Module:
    """The structure of the network; of one's own where it was given again."""
    own, classes = own_module(config), len(about["classes"] or ())
    if "slope_columns" in about:
        columns = [SlopeColumn(**column) for column in about["slope_columns"]]
        return additive_network(
            task_of(config), len(scaler.names), getattr(config, "hidden", ()), columns, classes=classes
        )
    if own is None:
        exposure, hidden = scaler.exposure is not None, getattr(config, "hidden", ())
        targets = len(scaler.targets.mean)
        return outcome_network(
            task_of(config), len(scaler.names), hidden, classes=classes, exposure=exposure, targets=targets
        )
    if not isinstance(own, Module):
        return AbsentNetwork()
    like = next(iter(shared.values()))
    return own_network(own, len(scaler.names), None, dtype=like.dtype, device=like.device)


def _saved_layout(about: Mapping[str, Any], shared: Mapping[str, Tensor], mixing: Tensor | None) -> EffectLayout:
    """Where the effects of one grouping factor belong."""
    names = tuple(about["effect_names"])
    shapes = tuple(tuple(shared[name].shape) for name in names)
    units = about.get("effect_units")
    return EffectLayout(
        names=names, shapes=shapes, labels=tuple(about["effect_labels"]), mixing=mixing,
        units=None if units is None else tuple(units),
    )  # fmt: skip


def _saved_factors(
    about: Mapping[str, Any],
    shared: Mapping[str, Tensor],
    generic: Mapping[str, Tensor],
    personal: Mapping[str, Tensor],
) -> tuple[FactorEffects, ...]:
    """Effects of further grouping factors; of nobody in a copy without persons."""
    found = []
    for place, factor in enumerate(about.get("further", ())):
        covariance = generic[f"further.{place}.covariance"]
        eta = personal.get(f"further.{place}.eta", covariance.new_zeros((1, covariance.shape[0])))
        layout = _saved_layout(factor, shared, generic.get(f"further.{place}.mixing"))
        levels = tuple(about.get("further_levels", {}).get(factor["grouping"], ()))
        effects = RandomEffects(layout=layout, eta=eta, covariance=covariance)
        found.append(FactorEffects(grouping=factor["grouping"], levels=levels, effects=effects))
    return tuple(found)


def saved_scaler(about: Mapping[str, Any], generic: Mapping[str, Tensor]) -> Scaler:
    """The standardisation of a run folder."""
    return Scaler(
        names=tuple(about["features"]),
        dropped=tuple(about["features_dropped"]),
        mean=generic["feature_mean"].numpy(),
        scale=generic["feature_scale"].numpy(),
        target_mean=about["target_mean"],
        target_scale=about["target_scale"],
        several=None
        if "targets" not in about
        else TargetScale(mean=np.array(about["targets"]["mean"]), scale=np.array(about["targets"]["scale"])),
    )
