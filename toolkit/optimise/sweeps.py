"""One epoch of training: a step on the whole training set, or one step for each of its batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from toolkit.optimise.descent import Descent


class NotFinite(ArithmeticError):
    """A number of the objective or a gradient is not finite; the message names it."""


@runtime_checkable
class Sweep(Protocol):
    """The steps of one epoch."""

    @property
    def moments(self) -> Mapping[str, Tensor]:
        """Tensors that the next epoch depends on beside the state and the optimiser's; changed in place."""
        ...

    def __call__(self, descent: Descent, sound: Callable[[], None]) -> dict[str, float]:
        """Make the steps and return the terms of the objective for the trace.

        ``sound`` is called when the state before the first step is known to hold finite numbers only.

        Raises:
            NotFinite: names what is not a finite number.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FullBatch:
    """One step on everything.

    Attributes:
        objective: returns the terms to report; ``objective`` is the one that is minimised.
        parameters: leaves to optimise, by name.
        clip: largest norm of the gradient; None does not clip.
        mixed: products in half precision (bfloat16); parameters, gradients and the rest keep theirs.
    """

    objective: Callable[[], dict[str, Tensor]]
    parameters: Mapping[str, Tensor]
    clip: float | None = None
    mixed: bool = False

    @property
    def moments(self) -> dict[str, Tensor]:
        """Nothing beside the optimiser's."""
        return {}

    def __call__(self, descent: Descent, sound: Callable[[], None]) -> dict[str, float]:
        """Objective, gradient, step."""
        descent.optimiser.zero_grad(set_to_none=True)
        device = next(iter(self.parameters.values())).device.type
        with torch.autocast(device, dtype=torch.bfloat16) if self.mixed else nullcontext():
            terms = self.objective()
        terms["objective"].backward()
        for name in [*(name for name in terms if name != "objective"), "objective"]:
            if not bool(torch.isfinite(terms[name])):
                raise NotFinite(name)
        for name, value in self.parameters.items():
            if value.grad is not None and not bool(torch.isfinite(value.grad).all()):
                raise NotFinite(f"gradient of {name}")
        sound()  # the loss here is a number; after the step it may not be
        if self.clip is not None:
            clipped([value.grad for value in self.parameters.values() if value.grad is not None], self.clip)
        descent.optimiser.step()
        return {name: float(value.detach()) for name, value in terms.items()}


@torch.no_grad()
def clipped(gradients: Sequence[Tensor], largest: float) -> None:
    """Shrink gradients in place so that their joint norm is at most ``largest``.

    Raises:
        NotFinite: the norm is no finite number: shrinking would hide it.
    """
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(gradient) for gradient in gradients]))
    if not bool(torch.isfinite(norm)):
        raise NotFinite("gradient")
    if float(norm) > largest:
        for gradient in gradients:
            gradient.mul_(largest / norm)
