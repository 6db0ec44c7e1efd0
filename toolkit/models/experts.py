"""The algebra of a mixture of linear experts: outputs, losses, and what a row says about each expert.

Source: Feffer, Rudovic and Picard (2018), Eqs. 1 to 8. All experts are one batched product.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

HEAD_WEIGHT, HEAD_BIAS = "head.weight", "head.bias"
EXPERT_WEIGHT, EXPERT_BIAS = "experts.weight", "experts.bias"
GATE_WEIGHT, GATE_BIAS = "gate.weight", "gate.bias"
HEAD = (HEAD_WEIGHT, HEAD_BIAS)
EXPERTS = (EXPERT_WEIGHT, EXPERT_BIAS)
GATE = (GATE_WEIGHT, GATE_BIAS)
# squares of the slopes of a class probability below which a row says nothing
TINY = 1e-30


class Mixture(NamedTuple):
    """Experts' outputs (rows, experts, outputs), the gate before its softmax and its log weights (rows, experts)."""

    outputs: Tensor
    gate: Tensor
    log_weights: Tensor


def head_outputs(parameters: Mapping[str, Tensor], z: Float[Tensor, "rows z"]) -> Float[Tensor, "rows output"]:
    """The shared head, ``W^s z + b``."""
    return functional.linear(z, parameters[HEAD_WEIGHT], parameters[HEAD_BIAS])


def gate_scores(parameters: Mapping[str, Tensor], z: Float[Tensor, "rows z"]) -> Float[Tensor, "rows expert"]:
    """``h = U z + u``, the gate before its softmax (Eq. 2)."""
    return functional.linear(z, parameters[GATE_WEIGHT], parameters[GATE_BIAS])


def mixture(parameters: Mapping[str, Tensor], z: Float[Tensor, "rows z"]) -> Mixture:
    """Outputs of all experts (Eq. 3) and the gate (Eq. 2), as one product with all their weights."""
    weight, bias = parameters[EXPERT_WEIGHT], parameters[EXPERT_BIAS]
    experts, outputs, size = weight.shape
    stacked = torch.cat([weight.reshape(experts * outputs, size), parameters[GATE_WEIGHT]])
    offsets = torch.cat([bias.reshape(-1), parameters[GATE_BIAS]])
    values = functional.linear(z, stacked, offsets)
    own, gate = values.split([experts * outputs, experts], dim=1)
    return Mixture(own.reshape(len(z), experts, outputs), gate, torch.log_softmax(gate, dim=1))


def mixed_outputs(mixed: Mixture) -> Float[Tensor, "rows output"]:
    """``y = sum_e c_e y_e`` (Eq. 1)."""
    return torch.einsum("re,reo->ro", mixed.log_weights.exp(), mixed.outputs)


def log_probabilities(mixed: Mixture, task: str) -> Float[Tensor, "rows class"]:
    """Logarithm of the mixed class probabilities, ``log sum_e c_e p_e``."""
    return torch.logsumexp(mixed.log_weights[..., None] + class_scores(mixed.outputs, task), dim=1)


def class_scores(outputs: Float[Tensor, "*rows output"], task: str) -> Float[Tensor, "*rows class"]:
    """Log class probabilities of single outputs; a binary output is the score of the second class."""
    if task == "binary":
        return torch.cat([functional.logsigmoid(-outputs), functional.logsigmoid(outputs)], dim=-1)
    return torch.log_softmax(outputs, dim=-1)


def squared_error(
    outputs: Float[Tensor, "rows output"], targets: Float[Tensor, "rows output"]
) -> Float[Tensor, " rows"]:
    """Sum over the targets of squared errors, a row's term of Eq. 5."""
    return (outputs - targets).square().sum(dim=1)


def class_loss(log_probability: Float[Tensor, "rows class"], codes: Int[Tensor, " rows"]) -> Float[Tensor, " rows"]:
    """Minus the log probability of the class that occurred."""
    return functional.nll_loss(log_probability, codes, reduction="none")


def recognition_loss(
    log_weights: Float[Tensor, "rows expert"], groups: Int[Tensor, " rows"], per_group: int
) -> Float[Tensor, " rows"]:
    """Cross-entropy of the gate (Eq. 6): minus the log weight of the row's own experts together; 0 without any."""
    known = groups >= 0
    own = groups.clamp(min=0)
    if per_group == 1:
        found = log_weights.gather(1, own[:, None]).squeeze(1)
    else:
        shares = log_weights.reshape(len(log_weights), -1, per_group)
        found = torch.logsumexp(shares[torch.arange(len(own), device=own.device), own], dim=1)
    return torch.where(known, -found, torch.zeros_like(found))


def sparsity(gate: Float[Tensor, "rows expert"]) -> Float[Tensor, " rows"]:
    """Mean absolute value of the gate before its softmax (Eq. 7, divided by the number of experts)."""
    return gate.abs().mean(dim=1)


def row_information(
    mixed: Mixture, codes: Int[Tensor, " rows"] | None, task: str
) -> Float[Tensor, "rows expert output"]:
    """How much each row says about each output of each expert, given the gate and the other experts.

    Numbers: ``c_e^2``, the curvature of half the squared error. Classes: the squared slope of the log-likelihood with
    respect to the expert's score (the empirical Fisher information).
    """
    if codes is None:
        return mixed.log_weights.exp().square()[..., None].expand_as(mixed.outputs)
    scores = class_scores(mixed.outputs, task)
    joint = mixed.log_weights + scores[torch.arange(len(codes)), :, codes]
    share = torch.softmax(joint, dim=1)
    probability = scores.exp()
    hit = functional.one_hot(codes, scores.shape[-1])[:, None, :]
    slope = share[..., None] * (probability - hit)
    return (slope[..., 1:] if task == "binary" else slope).square().clamp(min=TINY)
