"""Training of a network by Monte Carlo EM: mini-batches given draws of the effects (the M-step of the network).

After an epoch the effects are drawn again given all training rows (Tschalzev et al., 2024, Section 2.2), see
`toolkit.models.mcgmenn_expectation`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from toolkit.effects.terms import GAPS
from toolkit.models import likelihoods
from toolkit.models.additive_network import ADDED, AdditiveMlp
from toolkit.models.mcgmenn_design import SIGMA2, OutcomeRows, SampledFactor
from toolkit.models.outcome_networks import thresholds
from toolkit.sampling.joint_sampler import JointSampler

# variances of the effects, and the residual variance, where training begins (standardised scale)
START = 0.5
OFFSETS = "offsets"
STEP = "step"
# rows that go through the network together outside of training: what fits into the cache is several times faster
IN_CACHE = 2_048


def draws_name(place: int) -> str:
    """Name of the kept draws of a factor (draws, effects, levels) among the parameters."""
    return f"draws.{place}"


def covariance_name(place: int) -> str:
    """Name of a factor's covariance (effects, effects) among the parameters."""
    return f"covariance.{place}"


def modes_name(place: int) -> str:
    """Name of a factor's posterior modes (effects, levels), as of the last E-step, among the parameters."""
    return f"modes.{place}"


def start_effects(
    factors: Sequence[SampledFactor], kept: int, rows: int, outputs: int, *, like: Tensor
) -> dict[str, Tensor]:
    """Effects of zero, what they add to each row (draws, rows, outputs), and variances to begin with."""
    found = {SIGMA2: like.new_tensor(START), STEP: like.new_tensor(JointSampler.step)}
    found |= {OFFSETS: like.new_zeros((kept, rows, outputs))}
    for place, factor in enumerate(factors):
        found[draws_name(place)] = like.new_zeros((kept, factor.size, factor.clusters.levels))
        found[modes_name(place)] = like.new_zeros((factor.size, factor.clusters.levels))
        found[covariance_name(place)] = START * torch.eye(factor.size, dtype=like.dtype, device=like.device)
    return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MonteCarloObjective:
    """Negative log-likelihood of a batch per row, averaged over draws (Eq. 6 of the paper).

    Attributes:
        module: the network's structure.
        parameters: network, draws and variances by name; changed by training.
        rows: the rows that batches are made of.
        task: kind of outcome.
        population_weight: of the likelihood without effects.
        dropout: share of units left out after every hidden layer but the last.
        generator: which units.
    """

    module: AdditiveMlp
    parameters: dict[str, Tensor]
    rows: OutcomeRows
    task: str
    population_weight: float = 0.0
    dropout: float = 0.0
    generator: torch.Generator | None = None

    def __call__(self, batch: Tensor) -> dict[str, Tensor]:
        """Terms of one batch."""
        rows, offsets = self.rows, self.parameters[OFFSETS]
        draw = int(batch[0]) % offsets.shape[0]  # batches take turns, so that draws are averaged over
        alone, target = self.fixed(rows.inputs.index_select(0, batch)), rows.target.index_select(0, batch)
        loss = self.loss(alone + offsets[draw].index_select(0, batch), target)
        if self.population_weight > 0:
            loss = loss + self.population_weight * self.loss(alone, target)
        return {"objective": loss} | ({"sigma2": self.parameters[SIGMA2]} if self.task == "regression" else {})

    def loss(self, outputs: Float[Tensor, "rows output"], target: Tensor) -> Tensor:
        """Mean negative log-likelihood over rows."""
        if self.task == "multiclass":
            return functional.cross_entropy(outputs, target)
        if self.task == "binary":
            return functional.binary_cross_entropy_with_logits(outputs[:, 0], target)
        if self.task == "count":
            return functional.poisson_nll_loss(outputs[:, 0], target)
        if self.task == "ordinal":
            outputs = outputs - thresholds(self.parameters[GAPS])
            return likelihoods.cumulative(
                outputs[None], target[None], outputs.new_ones((1, len(outputs)))
            ).mean() / len(outputs)
        sigma2 = self.parameters[SIGMA2]
        squares = functional.mse_loss(outputs[:, 0], target)
        return 0.5 * (squares / sigma2 + torch.log(2.0 * torch.pi * sigma2))

    def fixed(self, inputs: Tensor) -> Tensor:
        """Outputs of the network (rows, outputs); of ordered classes the latent score."""
        raw, last = inputs, len(self.module.layers) - 1
        for place in range(last):
            inputs = torch.relu(self._linear(inputs, place))
            if self.dropout and place < last - 1:
                kept = torch.rand(inputs.shape, generator=self.generator, dtype=inputs.dtype) >= self.dropout
                inputs = inputs * kept.to(inputs) / (1.0 - self.dropout)
        outputs = self._linear(inputs, last)
        if not self.module.columns:
            return outputs
        shared = self.parameters[ADDED].reshape(-1, self.module.outputs)
        return outputs + self.module.design(raw) @ shared

    def _linear(self, inputs: Tensor, place: int) -> Tensor:
        return functional.linear(
            inputs, self.parameters[f"layers.{place}.weight"], self.parameters[f"layers.{place}.bias"]
        )

    @torch.no_grad()
    def fixed_of_all(self) -> Float[Tensor, "outputs rows"]:
        """The network's outputs in every row, nothing dropped, class first."""
        plain = replace(self, dropout=0.0)
        parts = [plain.fixed(inputs).T for inputs in self.rows.inputs.split(IN_CACHE)]
        return torch.cat(parts, dim=1).contiguous()


def after_epochs(expectation: Callable[[], None], epochs: int, most: int, *, at_the_end: bool) -> Callable[[int], None]:
    """An E-step after every epoch, or after every few where that would be more than ``most``; and one at the end."""
    every = max(-(-epochs // most), 1)

    def update(number: int) -> None:
        if number % every == 0 or (at_the_end and number == epochs):
            expectation()

    return update
