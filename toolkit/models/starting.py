"""Where training starts: standardisation, network and first values, effects of zero and the rule of their variances."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np
import torch
from torch import nn

from toolkit.data.grouped import GroupedDataset
from toolkit.effects.problem import ProblemParts
from toolkit.effects.random_effects import EffectLayout, side_by_side
from toolkit.errors import ConfigError, ToolkitWarning
from toolkit.models.chain_covariates import without_columns
from toolkit.models.comparators.mlp_lme import MlpLme
from toolkit.models.config import Config, Configuration
from toolkit.models.factor_state import start_factor
from toolkit.models.fit_state import State, VarianceRule, start_state
from toolkit.models.fixed_effects import published_start, whole_layout
from toolkit.models.glmm import Glmm
from toolkit.models.lmm import Lmm
from toolkit.models.lmmnn import Lmmnn
from toolkit.models.mcgmenn import McGmenn
from toolkit.models.modules import Module, is_linear, own_module
from toolkit.models.networks import chain_parameters, initial_parameters
from toolkit.models.nme import NmeMlp
from toolkit.models.nme_crf import CrfConfig, NmeCrf
from toolkit.models.outcome_networks import outcome_network, outputs_of
from toolkit.models.outcomes import exposure_of, noise_of, start_at_frequencies, start_at_maximum, task_of
from toolkit.models.own_network import own_network, scaled_for
from toolkit.models.placement import BIAS, WEIGHT, enters_linearly, of_factor, reported_scale
from toolkit.models.prepare import Scaler, fit_scaler

# Numbers that the posterior covariances of all persons may have together (0.8 GB); a fit holds some such tables. Of
# more effects only the variances are kept, which are rows of a table each.
MOST_NUMBERS = 100_000_000
MOST_EFFECTS = 10_000_000


def start_network(
    config: Config,
    data: GroupedDataset,
    scaler: Scaler,
    *,
    generator: torch.Generator,
    dtype: torch.dtype,
    device: torch.device,
) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """The network of a configuration and its start values: drawn for a perceptron, its own for a module of one's own.

    Raises:
        ConfigError: E302 for a module that does not fit the data.
    """
    task, own, classes = task_of(config), own_module(config), len(data.classes or ())
    features, targets = len(scaler.names), max(len(data.target_names), 1)
    if own is None:
        exposed = scaler.exposure is not None
        module = outcome_network(task, features, config.hidden, classes=classes, exposure=exposed, targets=targets)
        shared = initial_parameters(module, generator=generator, dtype=dtype, device=device)
    else:
        module = own_network(own, features, outputs_of(task, classes, targets), dtype=dtype, device=device)
        shared = module.start(dtype=dtype, device=device)
    if isinstance(config, CrfConfig):
        covariates = len(config.transition_covariates)
        shared |= chain_parameters(
            classes, learn_ends=config.learn_ends, covariates=covariates, dtype=dtype, device=device
        )
    return module, shared


def start_values(
    config: Config,
    data: GroupedDataset,
    rows: np.ndarray,
    scaler: Scaler,
    problem: ProblemParts,
    shared: dict[str, torch.Tensor],
) -> None:
    """Better first values than drawn ones, in place: of a linear network those without person effects.

    Args:
        config: the settings.
        data: the whole data set.
        rows: numbers of the training rows.
        scaler: their standardisation.
        problem: the same rows as tensors.
        shared: parameters of the network.
    """
    task = task_of(config)
    if task == "regression" and is_linear(config):
        training = data.take(rows)
        for name, value in least_squares(scaler.features(training), scaler.target(training), like=shared).items():
            shared[name].copy_(value)
    if own_module(config) is None and task in {"ordinal", "count"}:
        start_at_frequencies(task, shared, data.take(rows), scaler)
    noise = noise_of(config)
    if is_linear(config) and (task in {"ordinal", "count"} or (noise is not None and noise.density != "normal")):
        start_at_maximum(problem, shared)


def covariate_columns(config: Config) -> tuple[str, ...]:
    """Columns that shift the transitions of a chain."""
    return config.transition_covariates if isinstance(config, CrfConfig) else ()


def start_scaler(config: Config, data: GroupedDataset, rows: np.ndarray) -> Scaler:
    """Standardisation by the training rows, of all features that the network reads."""
    task, own, elsewhere = task_of(config), own_module(config), covariate_columns(config)
    data = without_columns(data, elsewhere)
    if not isinstance(own, Module):
        return replace(fit_scaler(data, rows, task=task, exposure=exposure_of(config)), elsewhere=elsewhere)
    with warnings.catch_warnings():  # nothing is left out: the shape of a row is fixed
        warnings.filterwarnings("ignore", message="W205", category=ToolkitWarning)
        return replace(scaled_for(own, data, rows, fit_scaler(data, rows, task=task)), elsewhere=elsewhere)


def least_squares(
    features: np.ndarray, target: np.ndarray, *, like: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Ordinary least squares: variances of a linear network are judged around sensible predictions at once.

    Of several targets (rows, targets) each by the rows in which it is known.
    """
    design = np.column_stack([features, np.ones(len(features))])
    columns = [(design[known := ~np.isnan(own)], own[known]) for own in target.reshape(len(target), -1).T]
    solution = np.stack([np.linalg.lstsq(rows, own, rcond=None)[0] for rows, own in columns])
    return {
        WEIGHT: torch.as_tensor(solution[:, :-1]).to(like[WEIGHT]),
        BIAS: torch.as_tensor(solution[:, -1]).to(like[BIAS]),
    }


def row_codes(data: GroupedDataset) -> np.ndarray:
    """Level of each row in every grouping factor (rows, factors)."""
    return np.column_stack([np.asarray(grouping.codes) for grouping in data.groupings])


def start_effects(
    config: Config,
    data: GroupedDataset,
    module: nn.Module,
    shared: dict[str, torch.Tensor],
    layouts: Sequence[EffectLayout],
) -> State:
    """Effects of zero for every grouping factor."""
    names = [grouping.name for grouping in data.groupings]
    rules = [
        variance_rule(of_factor(config, name, names), layout, module, shared)
        for name, layout in zip(names, layouts, strict=True)
    ]
    rule = replace(rules[0], exact=all(own.exact for own in rules))
    if len(names) > 1 and (rule.update in ("unregularised", "paper_annealed") or isinstance(config, MlpLme)):
        raise ConfigError(
            "this model and this update of the variances take one grouping factor",
            code="E302",
            column="groups",
            remedy='use variance_update="em" or "paper" of an NME, or name one column',
        )
    if rule.laplace and (len(names) > 1 or not rule.exact):
        raise ConfigError(
            "approximation applies to one grouping factor whose effects enter the outputs linearly (last layer, "
            "transitions)",
            code="E302",
            column="approximation",
            remedy="leave it out",
        )
    targets = data.target_names if data.further_target_names else ()
    if len(names) == 1 and not targets and _independent(config, rule, module, layouts[0]):
        rule = _kept_as_variances(rule, data.n_persons, layouts[0].size)
    else:
        for grouping, layout in zip(data.groupings, layouts, strict=True):
            _check_size(len(grouping.levels), layout.size)
    like = next(iter(shared.values()))
    further = tuple(
        start_factor(grouping.name, layout, len(grouping.levels), like, diagonal=own.diagonal, start=1.0)
        for grouping, layout, own in zip(data.groupings[1:], layouts[1:], rules[1:], strict=True)
    )
    return start_state(shared, layouts[0], data.n_persons, rule, further if rule.update != "none" else (), targets)


def _independent(config: Config, rule: VarianceRule, module: nn.Module, layout: EffectLayout) -> bool:
    """Whether effects are independent and as many as they like, so that variances can stand for covariances."""
    plain = rule.diagonal and layout.mixing is None and side_by_side(module)
    return plain and not isinstance(config, MlpLme) and not covariate_columns(config)


def _kept_as_variances(rule: VarianceRule, levels: int, size: int) -> VarianceRule:
    """The rule for effects whose covariances are too large to keep: their variances, and no exact fixed point."""
    if levels * size**2 <= MOST_NUMBERS:
        return rule
    if levels * size > MOST_EFFECTS:
        raise ConfigError(
            f"effects: {size:,} parameters that vary, for each of {levels:,} persons, are {levels * size:,} effects to "
            "estimate and report",
            code="E302",
            column="effects",
            remedy='let fewer vary, such as effects="last" or the biases of a layer ("layers.0.bias")',
        )
    return replace(rule, wide=True, exact=False)


def _check_size(levels: int, size: int) -> None:
    """Refuse more effects than whose posterior can be held, before anything is trained (E302)."""
    if levels * size**2 > MOST_NUMBERS:
        raise ConfigError(
            f"effects: {size:,} parameters that vary, for each of {levels:,} persons (or levels), are too many: their "
            f"posterior covariances alone would take {8e-9 * levels * size**2:,.1f} GB",
            code="E302",
            column="effects",
            remedy='let fewer vary, such as effects="last" or the biases of a layer ("layers.0.bias")',
        )


def variance_rule(
    config: Configuration, layout: EffectLayout, module: nn.Module, shared: dict[str, torch.Tensor]
) -> VarianceRule:
    """How this configuration estimates its variances."""
    update: Literal["em", "paper", "paper_annealed", "unregularised", "none"] = "none"
    diagonal = True
    if isinstance(config, NmeMlp | NmeCrf):
        update, diagonal = config.variance_update, config.covariance == "diagonal"
    elif isinstance(config, MlpLme):
        update, diagonal = "em", config.covariance == "diagonal"
    elif isinstance(config, Lmm | Glmm | Lmmnn | McGmenn):
        update, diagonal = "em", False
    elif layout.size:  # Specific-: no prior
        update = "unregularised"
    return VarianceRule(
        update=update,
        diagonal=diagonal,
        noise=noise_of(config),
        exact=enters_linearly(module, shared, layout),
        alpha=getattr(config, "annealing_alpha", 0.97),
        laplace=getattr(config, "approximation", "auto") == "laplace",
    )


def aim_at_maximum(config: Config, state: State, module: nn.Module, scaler: Scaler) -> None:
    """Without validation rows the fixed effects of a linear network belong at the maximum of the likelihood.

    Not those of a chain: the biases of its states and the columns of its transitions can stand in for each other but
    for the first rows of sequences, so that the maximum along them is noise. Only what varies moves there.
    """
    noise = state.rule.noise
    smooth = (noise is None or noise.density == "normal") and not isinstance(config, CrfConfig)
    if state.further or config.weight_decay > 0 or not smooth or not state.layout.size:
        return
    state.fixed_to_maximum = enters_linearly(module, state.shared, whole_layout(state))
    if noise is not None and is_linear(config) and not state.targets:
        scale = reported_scale(state.layout, module, state.shared, scaler, linear=True) / scaler.target_scale
        state.published_start = published_start(scale, like=state.eta)
