"""Any module whose parameters can be a person's own, by autograd: all persons' modules at once under ``vmap``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from toolkit.effects.flat_rows import Batch
from toolkit.effects.random_effects import EffectLayout, personal_outputs, personal_parameters
from toolkit.effects.terms import CHAIN_NAMES
from toolkit.errors import ToolkitWarning


@dataclass(slots=True, kw_only=True, eq=False)
class PersonalModule:
    """A `toolkit.effects.personal_perceptron.PersonalNetwork` made of any module.

    Attributes:
        module: the network (its structure; parameters come from outside).
        layout: which of its parameters vary.
        held: names of shared tensors that are not trained.
        mixed: half-precision products on a GPU (autocast; parameters and gradients keep their precision).
        compiled: compile the forward pass with ``torch.compile``; where that fails it runs as it is (W236).
    """

    module: nn.Module
    layout: EffectLayout
    held: frozenset[str] = frozenset()
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
        network = {name: value for name, value in shared.items() if name not in CHAIN_NAMES}
        leaves = {name: value.detach() for name, value in network.items() if name not in self.held}
        for value in leaves.values():
            value.requires_grad_(True)
        own = delta.detach().requires_grad_(True)
        tensors = {name: leaves.get(name, value) for name, value in network.items()}
        if self.layout.names:
            lines = own if batch.owner is None else own.index_select(0, batch.owner)
            outputs = batch.flat(self._outputs_of(tensors, lines, batch.filled(inputs)))
        else:
            outputs = self._outputs_of(tensors, own, inputs)
        self._leaves, self._outputs = {**leaves, "": own}, outputs
        return outputs.detach()

    def backward(self, gradient: Float[Tensor, "rows output"]) -> tuple[dict[str, Tensor], Float[Tensor, "persons d"]]:
        """Gradients of the shared parameters by name and of the deviations (persons, d)."""
        assert self._outputs is not None
        found = torch.autograd.grad(
            self._outputs, list(self._leaves.values()), gradient, allow_unused=True, materialize_grads=True
        )
        named = dict(zip(self._leaves, found, strict=True))
        own = named.pop("")
        self._leaves, self._outputs = {}, None
        return named, own

    def _outputs_of(self, shared: Mapping[str, Tensor], lines: Tensor, inputs: Tensor) -> Tensor:
        """Outputs, compiled where that was asked for and works."""
        if self._evaluate is None:
            self._evaluate = self._plain
            if self.compiled:
                try:
                    compiled = torch.compile(self._plain, dynamic=True)
                    outputs = compiled(shared, lines, inputs)
                except Exception as problem:
                    _warn_of_compiler(problem)
                else:
                    self._evaluate = compiled
                    return outputs
        return self._evaluate(shared, lines, inputs)

    def _plain(self, shared: Mapping[str, Tensor], lines: Tensor, inputs: Tensor) -> Tensor:
        with self._precision(inputs):
            personal = personal_parameters(shared, self.layout, lines) if self.layout.names else {}
            return personal_outputs(self.module, shared, personal, inputs).to(inputs.dtype)

    def _precision(self, like: Tensor) -> AbstractContextManager:
        return torch.autocast(like.device.type, dtype=torch.bfloat16) if self.mixed else nullcontext()


def _warn_of_compiler(problem: Exception) -> None:
    """W236, with the kind of the trouble and without the compiler's pages."""
    message = f"torch.compile does not work here ({type(problem).__name__}): the network runs as it is, only slower"
    warnings.warn(ToolkitWarning(message, code="W236"), stacklevel=2)
