"""Where person effects sit in a network, what their coordinates are called, and on which scales they are reported."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from toolkit.effects.random_effects import EffectLayout, coordinate_labels
from toolkit.effects.terms import CHAIN_NAMES, TRANSITIONS, layer_names, layer_of, resolve_terms
from toolkit.errors import ConfigError, ToolkitWarning
from toolkit.models.chain_structure import forbidden_of
from toolkit.models.comparators.mlp_lme import MlpLme
from toolkit.models.config import Configuration
from toolkit.models.modules import is_linear
from toolkit.models.networks import Mlp
from toolkit.models.nme import NmeMlp
from toolkit.models.nme_crf import NmeCrf
from toolkit.models.own_network import OwnNetwork, check_varying, effects_enter_linearly
from toolkit.models.prepare import Scaler

WEIGHT, BIAS = "layers.0.weight", "layers.0.bias"  # all that a linear network has
ADDED = "added"  # what is added to the outputs of a network, see `toolkit.models.additive_network`


def of_factor(config: Configuration, name: str, names: Sequence[str]) -> Configuration:
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


def effect_layout(
    config: Configuration,
    module: nn.Module,
    shared: dict[str, torch.Tensor],
    scaler: Scaler,
    classes: tuple[str, ...] | None,
) -> EffectLayout:
    """Resolve where the configuration puts person effects, and name every coordinate.

    ``classes`` are what the outputs are of: the classes, or several targets.
    """
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


def _varying(config: Configuration, module: nn.Module, shared: dict[str, torch.Tensor]) -> tuple[str, ...]:
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
        return name == ADDED or name.startswith(f"layers.{len(module.layers) - 1}.")
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


def held_names(config: Configuration, layout: EffectLayout, module: nn.Module) -> frozenset[str]:
    """Shared tensors that training leaves as they are: what is frozen in a module of one's own.

    In a Specific- model also the shared values of what varies: every person's parameters are their own.
    """
    fixed = module.fixed if isinstance(module, OwnNetwork) else frozenset()
    own = layout.size and not isinstance(config, NmeMlp | NmeCrf | MlpLme)
    return fixed | frozenset(layout.names) if own else fixed


def enters_linearly(module: nn.Module, shared: dict[str, torch.Tensor], layout: EffectLayout) -> bool:
    """Whether outputs are linear in the effects: those of a perceptron's last layer are; other networks are tried."""
    if isinstance(module, Mlp):
        return all(_of_last_layer(name, module) or name in CHAIN_NAMES for name in layout.names)
    return isinstance(module, OwnNetwork) and effects_enter_linearly(module, shared, layout)


def reported_scale(
    layout: EffectLayout,
    module: nn.Module,
    shared: dict[str, torch.Tensor],
    scaler: Scaler,
    *,
    linear: bool,
    wide: bool = False,
) -> np.ndarray:
    """Matrix (d, d) that takes effects from the scale they are estimated on to the reported one; its diagonal if wide.

    Effects of the last layer are reported in units of the target (in a network of one's own: if all effects enter its
    outputs linearly); those of a linear network as intercept and slopes of the features as they are. All others stay on
    the standardised scale.
    """
    if layout.units is not None:
        return np.diag(layout.units)
    in_units = isinstance(module, Mlp) or enters_linearly(module, shared, layout)
    factors: list[np.ndarray] = []
    scales = scaler.targets.scale
    for name, shape in zip(layout.names, layout.shapes, strict=True):
        outer = _of_last_layer(name, module) or (isinstance(module, OwnNetwork) and name not in CHAIN_NAMES)
        if len(scales) > 1:  # each output of the last layer is one target's; other parameters have no single unit
            outer = _of_last_layer(name, module) and shape[:1] == scales.shape
        factor = np.ones(shape)
        if in_units and outer:
            factor = factor * (scales if len(scales) == 1 else scales.reshape(-1, *(1,) * (len(shape) - 1)))
        factors.append((factor / scaler.scale if linear and name == WEIGHT else factor).ravel())
    if wide:
        return np.concatenate(factors)
    units = np.diag(np.concatenate(factors)) if factors else np.zeros((0, 0))
    kept, raw_already = slice(None), False
    if layout.mixing is not None:
        mixing = layout.mixing.cpu().numpy()
        kept = mixing.any(axis=1)  # all but forbidden transitions
        raw_already = bool((mixing[kept] != np.eye(layout.size)).any())
    if linear and WEIGHT in layout.names and not raw_already:
        units = units @ np.linalg.inv(_raw_scale(layout.names, shared, scaler).cpu().numpy().astype(np.float64))
    return units[kept][:, kept]
