"""Any module whose parameters can be a person's own, by autograd: all persons' modules at once under ``vmap``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from toolkit.effects.flat_rows import Batch
from toolkit.effects.random_effects import EffectLayout, personal_outputs, personal_parameters


@dataclass(slots=True, kw_only=True, eq=False)
class PersonalModule:
    """A `toolkit.effects.personal_perceptron.PersonalNetwork` made of any module.

    Attributes:
        module: the network (its structure; parameters come from outside).
        layout: which of its parameters vary.
        mixed: half-precision products on a GPU (autocast; parameters and gradients keep their precision).
        compiled: compile the forward pass with ``torch.compile``.
    """

    module: nn.Module
    layout: EffectLayout
    mixed: bool = False
    compiled: bool = False
    _evaluate: Callable[..., Tensor] | None = None
    _leaves: dict[str, Tensor] = field(default_factory=dict)
    _outputs: Tensor | None = None

    @torch.enable_grad()
    def forward(
        self, shared: Mapping[str, Tensor], delta: Float[Tensor, "persons d"], inputs: Tensor, batch: Batch
    ) -> Float[Tensor, "rows output"]:
        """Outputs of the rows of a batch; keeps the graph for `backward`."""
        if self._evaluate is None:
            self._evaluate = torch.compile(self._outputs_of, dynamic=True) if self.compiled else self._outputs_of
        self._leaves = {name: value.detach().requires_grad_(True) for name, value in shared.items()}
        own = delta.detach().requires_grad_(True)
        lines = own if batch.owner is None else own.index_select(0, batch.owner)
        if self.layout.names:
            outputs = batch.flat(self._evaluate(self._leaves, lines, batch.padded(inputs)))
        else:
            outputs = self._evaluate(self._leaves, lines, inputs)
        self._leaves, self._outputs = {**self._leaves, "": own}, outputs
        return outputs.detach()

    def backward(self, gradient: Float[Tensor, "rows output"]) -> tuple[dict[str, Tensor], Float[Tensor, "persons d"]]:
        """Gradients of the shared parameters by name and of the deviations (persons, d)."""
        assert self._outputs is not None
        found = torch.autograd.grad(
            self._outputs, list(self._leaves.values()), gradient, allow_unused=True, materialize_grads=True
        )
        gradients = dict(zip(self._leaves, found, strict=True))
        self._leaves, self._outputs = {}, None
        return gradients, gradients.pop("")

    def _outputs_of(self, shared: Mapping[str, Tensor], lines: Tensor, inputs: Tensor) -> Tensor:
        """Outputs of padded lines, in the precision of the parameters."""
        with self._precision(inputs):
            personal = personal_parameters(shared, self.layout, lines) if self.layout.names else {}
            return personal_outputs(self.module, shared, personal, inputs).to(inputs.dtype)

    def _precision(self, like: Tensor) -> AbstractContextManager:
        return torch.autocast(like.device.type, dtype=torch.bfloat16) if self.mixed else nullcontext()
