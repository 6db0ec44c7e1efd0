"""Tables of a fitted network of experts: experts, gate, and the experts as person effects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm

from toolkit.data.grouped import GroupedDataset
from toolkit.effects.random_effects import coordinate_labels
from toolkit.models import experts as algebra
from toolkit.models.effect_tables import COMPONENTS, EFFECTS, ORDER
from toolkit.models.expert_prior import SIGMA2, VARIANCES
from toolkit.models.pen_network import PenNetwork
from toolkit.models.pen_training import STAGES, PenTrained
from toolkit.models.tables import as_array
from toolkit.numerics.covariance import VARIANCE_FLOOR

LEVEL = 0.95
EXPERT_COLUMNS = {"expert": "string", "persons": "string", "parameter": "string"} | {
    name: "float64" for name in ("weight", "shared", "difference")
}
GATE_COLUMNS = {"person": "string", "split": "string", "expert": "string", "weight": "float64", "rows": "int64"} | {
    "entropy": "float64"
}


def expert_labels(network: PenNetwork) -> list[str]:
    """One label for each weight of a head and its offset, output by output: weights first."""
    outputs = network.classes if network.task == "multiclass" else network.target_names
    size = network.shared[algebra.HEAD_WEIGHT].shape[1]
    inputs = network.scaler.names if network.features.module is None else None
    count = len(network.shared[algebra.HEAD_BIAS])
    names = outputs if count > 1 else None
    return [
        *coordinate_labels(algebra.HEAD_WEIGHT, (count, size), names, inputs),
        *coordinate_labels(algebra.HEAD_BIAS, (count,), names, None),
    ]


def experts_table(trained: PenTrained) -> pd.DataFrame:
    """Weights of every expert beside the shared head's: expert, persons, parameter, weight, shared, difference.

    Weights are in units of the target (of the log odds for classes) per SD of a feature, or per unit of what the
    extractor gives; offsets are values at the features' means, less the target's mean.
    """
    network = trained.network
    if not network.has_experts:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in EXPERT_COLUMNS.items()})
    labels, groups = expert_labels(network), network.groups
    own, shared = _own_and_shared(network)
    persons = [", ".join(members) for members in groups.members]
    return pd.DataFrame(
        {
            "expert": np.repeat(np.array(groups.names, dtype=object), len(labels)),
            "persons": np.repeat(np.array(persons, dtype=object), len(labels)),
            "parameter": labels * groups.count,
            "weight": own.ravel(),
            "shared": np.tile(shared, groups.count),
            "difference": (own - shared).ravel(),
        }
    ).astype(EXPERT_COLUMNS)


def gate_table(network: PenNetwork, data: GroupedDataset, labels: np.ndarray) -> pd.DataFrame:
    """Mean weight of each expert in each person's rows, by part: person, split, expert, weight, rows, entropy.

    ``entropy`` is the mean over the person's rows of ``- sum_e c_e log c_e``, in nats: 0 when one expert speaks alone,
    the logarithm of their number when all speak equally.
    """
    if not network.has_experts:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in GATE_COLUMNS.items()})
    weights = network.gate(data)
    entropy = -(weights * np.log(np.maximum(weights, 1e-300))).sum(axis=1)
    blocks = []
    for part in dict.fromkeys(labels.tolist()):
        rows = np.flatnonzero(labels == part)
        persons, codes = np.unique(np.asarray(data.person)[rows], return_inverse=True)
        count = np.bincount(codes)
        sums = np.zeros((len(persons), weights.shape[1]))
        np.add.at(sums, codes, weights[rows])
        names = np.array(data.persons, dtype=object)[persons]
        blocks.append(
            pd.DataFrame(
                {
                    "person": np.repeat(names, weights.shape[1]),
                    "split": part,
                    "expert": list(network.groups.names) * len(persons),
                    "weight": (sums / count[:, None]).ravel(),
                    "rows": np.repeat(count, weights.shape[1]),
                    "entropy": np.repeat(np.bincount(codes, weights=entropy[rows]) / count, weights.shape[1]),
                }
            )
        )
    return pd.concat(blocks, ignore_index=True).astype(GATE_COLUMNS)


def expert_effects(trained: PenTrained, level: float = LEVEL) -> pd.DataFrame:
    """Experts less the shared head, as person effects: term, level, parameter, estimate, sd, low, high, reliability.

    SDs are those of the posterior given the gate, the other experts and the variances; without a prior there are none.
    """
    network = trained.network
    if not network.has_experts:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in EFFECTS.items()})
    labels, groups = expert_labels(network), network.groups
    own, shared = _own_and_shared(network)
    estimate = own - shared
    deviation = np.full(estimate.shape, np.nan)
    reliability = np.full(estimate.shape, np.nan)
    if trained.posterior is not None:
        variance, prior = trained.posterior, _prior(network)
        deviation = _in_order(np.sqrt(variance)) * _units(network)
        reliability = np.clip(1.0 - _in_order(variance / prior), 0.0, 1.0)
    reach = norm.ppf(0.5 + level / 2) * deviation
    single = groups.per_group == 1 and all(len(members) == 1 for members in groups.members)
    return pd.DataFrame(
        {
            "term": network.grouping if single else "expert",
            "level": np.repeat(np.array(groups.names, dtype=object), len(labels)),
            "parameter": labels * groups.count,
            "estimate": estimate.ravel(),
            "sd": deviation.ravel(),
            "low": (estimate - reach).ravel(),
            "high": (estimate + reach).ravel(),
            "reliability": reliability.ravel(),
        }
    ).astype(EFFECTS)


def expert_components(trained: PenTrained, mean_square: float) -> pd.DataFrame:
    """Variance components of experts with a prior: weights and offsets of each output, and the residual.

    Args:
        trained: the fitted network.
        mean_square: mean over the training rows of the sum of squared extracted features: what one unit of the weights'
            variance adds to the variance of an output.
    """
    network = trained.network
    rows: list[dict[str, Any]] = []
    if VARIANCES in network.shared:
        names = (network.classes if network.task == "multiclass" else network.target_names) or ("",)
        sigma2, variances = as_array(network.shared[SIGMA2]), as_array(network.shared[VARIANCES])
        for place in range(variances.shape[1]):
            unit = float(np.atleast_1d(network.targets.scale)[place if network.task == "regression" else 0]) ** 2
            residual = sigma2[place] if network.task == "regression" else 0.0
            acting = variances[:, place] * np.array([mean_square, 1.0])
            total = float(acting.sum() + residual)
            suffix = f"[{names[place]}]" if variances.shape[1] > 1 else ""
            for kind, value, share in zip(algebra.HEAD, variances[:, place], acting / total, strict=True):
                rows.append(_component(network.grouping, kind + suffix, value, unit, share))
            if network.task == "regression":
                rows.append(_component("residual", f"residual{suffix}", residual, unit, residual / total))
    frame = pd.DataFrame(rows, columns=[name for name in ORDER if name != "sd"])
    return frame.assign(sd=np.sqrt(frame["variance"].astype("float64")))[ORDER].astype(COMPONENTS)


def _component(term: str, parameter: str, value: float, unit: float, share: float) -> dict[str, Any]:
    return {
        "term": term,
        "parameter": parameter,
        "variance": value * unit,
        "share": share,
        "correlation": np.nan,
        "at_boundary": bool(value <= 2.0 * VARIANCE_FLOOR),
    }


def pen_trace(trained: PenTrained) -> pd.DataFrame:
    """Training by epoch: objective and its parts, validation loss, and the stage (``phase``)."""
    columns = ["epoch", "objective", "loss", "penalty", "gate", "sparsity", "validation"]
    frame = pd.DataFrame(list(trained.outcome.trace), columns=[*columns, "stage"]).astype("float64")
    names = np.array(STAGES, dtype=object)
    frame["phase"] = pd.array(names[frame.pop("stage").astype(int)], dtype="string")
    return frame


def _own_and_shared(network: PenNetwork) -> tuple[np.ndarray, np.ndarray]:
    """Parameters of every expert (experts, parameters) and of the shared head (parameters,), in reported units."""
    units = _units(network)

    def line(weight: str, bias: str) -> np.ndarray:
        values = as_array(network.shared[weight]), as_array(network.shared[bias])
        flat = values[0].reshape(*values[0].shape[:-2], -1)
        return np.concatenate([flat, values[1]], axis=-1) * units

    return line(*algebra.EXPERTS), line(*algebra.HEAD)


def _units(network: PenNetwork) -> np.ndarray:
    """SD of the target behind each parameter, in the order of `expert_labels`."""
    outputs, size = network.shared[algebra.HEAD_WEIGHT].shape
    scale = np.broadcast_to(network.targets.scale, (outputs,))
    return np.concatenate([np.repeat(scale, size), scale])


def _in_order(values: np.ndarray) -> np.ndarray:
    """Values (experts, outputs, z + 1) in the order of `expert_labels`: all weights, then the offsets."""
    return np.concatenate([values[..., :-1].reshape(len(values), -1), values[..., -1]], axis=1)


def _prior(network: PenNetwork) -> np.ndarray:
    """Prior variance of each parameter (outputs, z + 1)."""
    weight, bias = as_array(network.shared[VARIANCES])
    size = network.shared[algebra.HEAD_WEIGHT].shape[1]
    return np.column_stack([np.repeat(weight[:, None], size, axis=1), bias])
