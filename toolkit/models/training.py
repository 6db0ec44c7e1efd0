"""From a configuration and data to a fitted network: network, placement of effects, problems, estimation."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from toolkit.data.grouped import GroupedDataset
from toolkit.data.sequences import cut_at_parts
from toolkit.effects.problem import Problem
from toolkit.effects.random_effects import EffectLayout, FactorEffects, coordinate_labels
from toolkit.effects.terms import CHAIN_NAMES, TRANSITIONS, layer_names, layer_of, resolve_terms
from toolkit.errors import ConfigError, ToolkitWarning
from toolkit.models.chain_covariates import fit_covariates, without_columns
from toolkit.models.chain_structure import chain_parts, forbidden_of
from toolkit.models.comparators.mlp_lme import MlpLme
from toolkit.models.config import Config
from toolkit.models.estimate import estimate
from toolkit.models.fit_state import Estimate, State, VarianceRule, start_state
from toolkit.models.fitted import FittedNetwork
from toolkit.models.joint_rounds import start_factor
from toolkit.models.minibatches import flat_rows, mini_batches
from toolkit.models.modules import Module, is_linear, own_module
from toolkit.models.networks import Mlp, chain_parameters, initial_parameters
from toolkit.models.nme import MlpConfig, NmeMlp
from toolkit.models.nme_crf import CrfConfig, NmeCrf
from toolkit.models.own_network import OwnNetwork, check_varying, effects_enter_linearly, own_network, scaled_for
from toolkit.models.pen import PenConfig
from toolkit.models.prepare import Scaler, Task, fit_scaler, problem
from toolkit.models.retraining import estimate_with_retraining, fresh_start
from toolkit.optimise.descent import Keeper
from toolkit.optimise.minimise import Outcome, Progress, Settings

WEIGHT, BIAS = "layers.0.weight", "layers.0.bias"  # all that a linear network has


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """A fitted network, how it was estimated, and on which scale its effects are reported.

    Attributes:
        network: the network with its person effects.
        estimate: how it was estimated.
        reported_scale: matrix (d, d) that takes effects from the estimation's scale to the reported one.
        training_rows: number of rows it was fitted to.
        further_scales: the same matrix of each further grouping factor.
    """

    network: FittedNetwork
    estimate: Estimate
    reported_scale: np.ndarray
    training_rows: int
    further_scales: tuple[np.ndarray, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """How training went."""
        return self.estimate.outcome

    @property
    def effect_names(self) -> tuple[str, ...]:
        """Parameters that vary by person."""
        return self.network.effects.layout.names

    @property
    def status_details(self) -> dict[str, Any]:
        """Further words on how the fit ended, for the manifest."""
        exact = "exact" if self.estimate.exact else "Laplace approximation where early stopping ended"
        return {"variance_rounds": self.estimate.polish_steps, "posterior": exact}


def task_of(config: Config) -> Task:
    """The kind of outcome a configuration models."""
    if isinstance(config, CrfConfig):
        return "sequence"
    return config.task if isinstance(config, MlpConfig | PenConfig) else "regression"


def train(
    config: Config,
    data: GroupedDataset,
    labels: np.ndarray,
    *,
    generator: torch.Generator,
    device: torch.device,
    progress: Progress | None = None,
    keeper: Keeper | None = None,
) -> Trained:
    """Fit a multilayer perceptron or chain, with or without person effects.

    Args:
        config: one of the configuration classes.
        data: the whole data set, with class codes where the outcome is a class.
        labels: ``train``, ``validation`` or ``test`` for each row.
        generator: random numbers of the initial weights.
        device: where the tensors live.
        progress: called after each epoch.
        keeper: keeps the state of training between epochs.
    """
    task = task_of(config)
    dtype = torch.float64 if config.precision == "float64" else torch.float32
    fitted_rows = np.flatnonzero(labels == "train")
    chosen_columns = config.transition_covariates if isinstance(config, CrfConfig) else ()
    cut = cut_at_parts(data, labels) if task == "sequence" else data
    covariates = fit_covariates(chosen_columns, cut, labels)
    scaler = _scaler(config, without_columns(data, chosen_columns), fitted_rows, task)
    scaler = replace(scaler, elsewhere=chosen_columns)
    outputs = len(data.classes or ()) if task in {"multiclass", "sequence"} else 1
    module, shared = start_network(config, len(scaler.names), outputs, generator=generator, dtype=dtype, device=device)
    if isinstance(config, CrfConfig):
        shared |= chain_parameters(
            outputs, learn_ends=config.learn_ends, covariates=len(chosen_columns), dtype=dtype, device=device
        )
    if task == "regression" and is_linear(config):
        shared |= _least_squares(scaler.features(data)[fitted_rows], scaler.target(data)[fitted_rows], like=shared)
    names = [grouping.name for grouping in data.groupings]
    layouts = [effect_layout(of_factor(config, name, names), module, shared, scaler, data.classes) for name in names]
    state = _start(config, task, data, module, shared, layouts)
    state.held = held_names(config, layouts[0], module)
    codes = row_codes(data) if state.further else np.asarray(data.person)
    parts = chain_parts(config, data.classes, covariates)

    def part(name: str) -> Problem:
        rows = np.flatnonzero(labels == name)
        chosen = cut.take(rows)
        return problem(chosen, codes[rows], scaler, module, task=task, dtype=dtype, device=device, parts=parts)

    settings = Settings(
        lr=config.lr, epochs=config.epochs, patience=config.patience, weight_decay=config.weight_decay,
        schedule=config.schedule, clip=config.clip,
    )  # fmt: skip
    rows = part("train"), part("validation") if (labels == "validation").any() else None
    sweep = None
    if config.batch is not None:
        flat = flat_rows(cut.take(fitted_rows), data.n_persons, scaler, task=task, like=state.eta, parts=parts)
        sweep = mini_batches(config, flat, module, state, generator)
    if isinstance(config, MlpLme):
        restart = fresh_start(config, module, shared, generator)
        found = estimate_with_retraining(
            *rows, state, settings, rounds=config.rounds, restart=restart, generator=generator, progress=progress,
            keeper=keeper,
        )  # fmt: skip
    else:
        found = estimate(*rows, state, settings, sweep=sweep, progress=progress, keeper=keeper)
    network = FittedNetwork(
        config=config,
        task=task,
        scaler=scaler,
        classes=data.classes if task != "regression" else None,
        grouping=data.groupings[0].name,
        levels=tuple(data.persons),
        module=module,
        shared=found.shared,
        effects=found.effects,
        further=tuple(
            FactorEffects(grouping=grouping.name, levels=grouping.levels, effects=effects)
            for grouping, (effects, _) in zip(data.groupings[1:], found.further, strict=False)
        ),
        covariates=covariates,
    )
    scales = [reported_scale(layout, module, shared, scaler, linear=is_linear(config)) for layout in layouts]
    return Trained(
        network=network,
        estimate=found,
        reported_scale=scales[0],
        training_rows=len(fitted_rows),
        further_scales=tuple(scales[1:]) if state.further else (),
    )


def row_codes(data: GroupedDataset) -> np.ndarray:
    """Level of each row in every grouping factor (rows, factors)."""
    return np.column_stack([np.asarray(grouping.codes) for grouping in data.groupings])


def _start(
    config: Config,
    task: Task,
    data: GroupedDataset,
    module: nn.Module,
    shared: dict[str, torch.Tensor],
    layouts: Sequence[EffectLayout],
) -> State:
    """Effects of zero for every grouping factor."""
    names = [grouping.name for grouping in data.groupings]
    rules = [
        variance_rule(of_factor(config, name, names), task, layout, module, shared)
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
    like = next(iter(shared.values()))
    further = tuple(
        start_factor(grouping.name, layout, len(grouping.levels), like, diagonal=own.diagonal, start=1.0)
        for grouping, layout, own in zip(data.groupings[1:], layouts[1:], rules[1:], strict=True)
    )
    return start_state(shared, layouts[0], data.n_persons, rule, further if rule.update != "none" else ())


def of_factor(config: Config, name: str, names: Sequence[str]) -> Config:
    """The configuration with what it says of one grouping factor.

    Raises:
        ConfigError: E302 if it names a factor the data do not have, or leaves one out.
    """
    if not isinstance(config, NmeMlp | NmeCrf):
        return config
    chosen: dict[str, Any] = {}
    for setting in ("effects", "covariance"):
        value = getattr(config, setting)
        if not isinstance(value, Mapping):
            continue
        for odd in [*(key for key in value if key not in names), *(key for key in names if key not in value)]:
            unknown = odd in value
            raise ConfigError(
                f"{setting}: '{odd}' is no grouping factor of the data" if unknown else f"{setting}: none for '{odd}'",
                code="E302",
                column=setting,
                remedy=f"grouping factors: {', '.join(names)}" if unknown else "name them, or leave that factor out",
            )
        chosen[setting] = value[name]
    return config.model_copy(update=chosen) if chosen else config


def start_network(
    config: Config, features: int, outputs: int, *, generator: torch.Generator, dtype: torch.dtype, device: torch.device
) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """The network of a configuration and its start values: drawn for a perceptron, its own for a module of one's own.

    Raises:
        ConfigError: E302 for a module that does not fit the data.
    """
    own = own_module(config)
    if own is None:
        module = Mlp(features, config.hidden, outputs)
        return module, initial_parameters(module, generator=generator, dtype=dtype, device=device)
    network = own_network(own, features, outputs, dtype=dtype, device=device)
    return network, network.start(dtype=dtype, device=device)


def _scaler(config: Config, data: GroupedDataset, rows: np.ndarray, task: Task) -> Scaler:
    """Standardisation by the training rows."""
    own = own_module(config)
    if not isinstance(own, Module):
        return fit_scaler(data, rows, task=task)
    with warnings.catch_warnings():  # nothing is left out: the shape of a row is fixed
        warnings.filterwarnings("ignore", message="W205", category=ToolkitWarning)
        return scaled_for(own, data, rows, fit_scaler(data, rows, task=task))


def held_names(config: Config, layout: EffectLayout, module: nn.Module) -> frozenset[str]:
    """Shared tensors that training leaves as they are: what is frozen in a module of one's own.

    In a Specific- model also the shared values of what varies: every person's parameters are their own.
    """
    fixed = module.fixed if isinstance(module, OwnNetwork) else frozenset()
    own = layout.size and not isinstance(config, NmeMlp | NmeCrf | MlpLme)
    return fixed | frozenset(layout.names) if own else fixed


def _least_squares(
    features: np.ndarray, target: np.ndarray, *, like: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Ordinary least squares: variances of a linear network are judged around sensible predictions at once."""
    design = np.column_stack([features, np.ones(len(features))])
    solution = np.linalg.lstsq(design, target, rcond=None)[0]
    return {
        WEIGHT: torch.as_tensor(solution[None, :-1]).to(like[WEIGHT]),
        BIAS: torch.as_tensor(solution[-1:]).to(like[BIAS]),
    }


def effect_layout(
    config: Config, module: nn.Module, shared: dict[str, torch.Tensor], scaler: Scaler, classes: tuple[str, ...] | None
) -> EffectLayout:
    """Resolve where the configuration puts person effects, and name every coordinate."""
    names = _varying(config, module, shared)
    labels: list[str] = []
    kept: list[np.ndarray] = []
    forbidden = forbidden_of(config, classes)
    for name in names:
        outputs = classes if name == TRANSITIONS or _of_last_layer(name, module) else None
        perceptron = isinstance(module, Mlp)
        inputs = classes if name == TRANSITIONS else scaler.names if name == WEIGHT and perceptron else None
        labels += coordinate_labels(name, tuple(shared[name].shape), outputs, inputs)
        varies = np.ones(tuple(shared[name].shape), dtype=bool)
        kept.append((varies if name != TRANSITIONS or forbidden is None else ~forbidden).ravel())
    shapes = tuple(tuple(shared[name].shape) for name in names)
    # all correlations together say the same on every scale, and are estimated best on the centred one
    full = getattr(config, "covariance", "diagonal") == "full"
    raw = _raw_scale(names, shared, scaler) if is_linear(config) and WEIGHT in names else None
    mixing = None if full else raw
    if mixing is not None:
        _warn_of_far_zero(scaler)
    varying = np.flatnonzero(np.concatenate(kept)) if kept else np.zeros(0, dtype=np.int64)
    if len(varying) < len(labels):  # a forbidden transition has no effect
        like = shared[TRANSITIONS]
        whole = torch.eye(len(labels), dtype=like.dtype, device=like.device) if mixing is None else mixing
        mixing = whole[:, torch.as_tensor(varying, device=like.device)]
    return EffectLayout(names=names, shapes=shapes, labels=tuple(labels[place] for place in varying), mixing=mixing)


def _varying(config: Config, module: nn.Module, shared: dict[str, torch.Tensor]) -> tuple[str, ...]:
    """Names of the parameters that vary by person."""
    effects = getattr(config, "effects", None)
    if effects is None:
        return ()
    if isinstance(config, MlpLme) and effects == "bias":
        effects = f"layers.{len(config.hidden)}.bias"
    if not isinstance(module, OwnNetwork):
        return resolve_terms(effects, list(shared))
    chosen = resolve_terms(effects, [*module.names, *(name for name in CHAIN_NAMES if name in shared)])
    check_varying(chosen, module)
    return chosen


def _of_last_layer(name: str, module: nn.Module) -> bool:
    """Whether a parameter belongs to the layer whose outputs are the network's."""
    if isinstance(module, Mlp):
        return name.startswith(f"layers.{len(module.layers) - 1}.")
    return isinstance(module, OwnNetwork) and layer_of(name) == layer_names(module.names)[-1]


def _warn_of_far_zero(scaler: Scaler) -> None:
    """W213 where independent intercepts would be those at a point far outside the data."""
    far = [name for name, mean, sd in zip(scaler.names, scaler.mean, scaler.scale, strict=True) if abs(mean) > 10 * sd]
    if far:
        warnings.warn(
            ToolkitWarning(
                f"zero lies far outside the values of {', '.join(far)}, and independent intercepts are those at zero: "
                'subtract a value from the middle, or use covariance="full"',
                code="W213",
            ),
            stacklevel=4,
        )


def _raw_scale(names: tuple[str, ...], shared: dict[str, torch.Tensor], scaler: Scaler) -> torch.Tensor:
    """Mixing of a linear network: effects on intercept and slopes of the features as they are, as in lme4.

    The network sees centred features. A slope that differs by ``eta_w`` per SD then moves the network's bias by
    ``eta_w mean / sd`` as well: independent effects on the raw scale are not independent on the centred one.

    Raises:
        ConfigError: E302 if slopes vary without the intercept.
    """
    if BIAS not in names:
        raise ConfigError(
            "effects: slopes of a linear network vary without its intercept",
            code="E302",
            column="effects",
            remedy='use "last", which lets both vary, or add hidden layers',
        )
    start, places = 0, {}
    for name in names:
        places[name] = torch.arange(start, start + shared[name].numel()).reshape(shared[name].shape)
        start += shared[name].numel()
    mixing = torch.eye(start, dtype=shared[BIAS].dtype, device=shared[BIAS].device)
    moved = torch.as_tensor(scaler.mean / scaler.scale).to(mixing)
    for output, row in enumerate(places[WEIGHT]):
        mixing[places[BIAS][output], row] = moved
    return mixing


def variance_rule(
    config: Config, task: Task, layout: EffectLayout, module: nn.Module, shared: dict[str, torch.Tensor]
) -> VarianceRule:
    """How this configuration estimates its variances."""
    update: Literal["em", "paper", "paper_annealed", "unregularised", "none"] = "none"
    diagonal = True
    if isinstance(config, NmeMlp | NmeCrf):
        update, diagonal = config.variance_update, config.covariance == "diagonal"
    elif isinstance(config, MlpLme):
        update, diagonal = "em", config.covariance == "diagonal"
    elif layout.size:  # Specific-: no prior
        update = "unregularised"
    return VarianceRule(
        update=update,
        diagonal=diagonal,
        gaussian=task == "regression",
        exact=enters_linearly(module, shared, layout),
        alpha=getattr(config, "annealing_alpha", 0.97),
    )


def enters_linearly(module: nn.Module, shared: dict[str, torch.Tensor], layout: EffectLayout) -> bool:
    """Whether outputs are linear in the effects: those of a perceptron's last layer are; other networks are tried."""
    if isinstance(module, Mlp):
        return all(_of_last_layer(name, module) or name in CHAIN_NAMES for name in layout.names)
    return isinstance(module, OwnNetwork) and effects_enter_linearly(module, shared, layout)


def reported_scale(
    layout: EffectLayout, module: nn.Module, shared: dict[str, torch.Tensor], scaler: Scaler, *, linear: bool
) -> np.ndarray:
    """Matrix (d, d) that takes effects from the scale they are estimated on to the reported one.

    Effects of the last layer are reported in units of the target (in a network of one's own: if all effects enter its
    outputs linearly); those of a linear network as intercept and slopes of the features as they are. All others stay on
    the standardised scale.
    """
    in_units = isinstance(module, Mlp) or enters_linearly(module, shared, layout)
    factors: list[np.ndarray] = []
    for name, shape in zip(layout.names, layout.shapes, strict=True):
        outer = _of_last_layer(name, module) or (isinstance(module, OwnNetwork) and name not in CHAIN_NAMES)
        factor = np.full(shape, scaler.target_scale if in_units and outer else 1.0)
        factors.append((factor / scaler.scale if linear and name == WEIGHT else factor).ravel())
    units = np.diag(np.concatenate(factors)) if factors else np.zeros((0, 0))
    kept, raw_already = slice(None), False
    if layout.mixing is not None:
        mixing = layout.mixing.cpu().numpy()
        kept = mixing.any(axis=1)  # all but forbidden transitions
        raw_already = bool((mixing[kept] != np.eye(layout.size)).any())
    if linear and WEIGHT in layout.names and not raw_already:
        units = units @ np.linalg.inv(_raw_scale(layout.names, shared, scaler).cpu().numpy().astype(np.float64))
    return units[kept][:, kept]


def pick_device(device: str) -> torch.device:
    """``auto`` takes the GPU if there is one.

    Raises:
        ConfigError: E302 for a name torch does not know or a GPU that is not there.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ConfigError(
            "device is not one torch knows", code="E302", column="device", remedy="use auto, cpu or cuda"
        ) from None
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError("no GPU was found", code="E302", column="device", remedy='use device="auto" or "cpu"')
    return chosen
