"""The chain's recursions on probabilities, rescaled before they can leave the range of the number format.

With ``w_t = exp(emissions_t - max)`` and ``A = exp(transitions - max)`` the messages are

    alpha_t = (A' alpha_{t-1}) * w_t,    beta_{t-1} = A gamma_t,    gamma_t = w_t * beta_t,

divided by their sums every few steps (Rabiner, 1989, section V.A). Posterior probabilities are ``alpha_t * beta_t``
divided by its sum, so the scale of ``beta`` does not matter. A step costs two small operations; a recursion on log-sums
costs about eight and, in float32, a hundred times the rounding error.

How far this is exact. Let ``R`` be the range of the transition scores. An element of ``alpha`` that was flushed to zero
lay below the smallest normal number ``e^-N``, while the largest was at least ``e^-(k-1)R``, rescaled every ``k`` steps;
what follows can favour the lost one by at most ``e^R``. So a share of at most ``S e^(kR - N)`` is lost, whatever the
emissions; ``BUDGET`` keeps ``(2k - 1) R`` within 60 of ``N = 87`` in float32 and within 600 of ``N = 708`` in float64.
With forbidden transitions there is no such bound. Then ``sum_s alpha_t beta_t = sum_s alpha_{t-1} (A gamma_t)`` is
checked at every step (`ScaledMessages.holds`): it fails where something was lost that mattered later.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from toolkit.numerics.chain_layout import LIMIT, ChainLayout

BUDGET = {torch.float32: 60.0, torch.float64: 600.0}
MANY_STATES = 8  # from here on products of matrices gain more than their transposing costs
AGREEMENT = {torch.float32: 1e-4, torch.float64: 1e-9}


class MatrixRange(NamedTuple):
    """What the transition scores allow: the largest of each matrix, the range of the possible ones, any impossible."""

    top: Tensor
    span: float
    forbids: bool


def matrix_range(matrix: Tensor) -> MatrixRange:
    """Range of transition scores (state, state) or (state, state, batch), impossible ones left out."""
    top = matrix.amax(dim=(0, 1))
    low = torch.where(matrix > LIMIT, matrix, top).amin(dim=(0, 1))
    lowest = matrix.amin()
    return MatrixRange(torch.where(top > LIMIT, top, 0.0), float((top - low).amax()), float(lowest) <= LIMIT)


def rescaling_stride(span: float, states: int, dtype: torch.dtype) -> int:
    """Number of steps between two rescalings; 0 where even one step can lose too much, or the span is not a number."""
    budget = BUDGET[dtype]
    if not span <= budget:
        return 0
    return max(1, min(int((budget / max(span, 1e-3) + 1) / 2), int(0.6 * budget / math.log(max(states, 2)))))


class ScaledMessages:
    """Forward messages of a batch at once, backward messages when asked for; see the module for the formulas.

    Attributes:
        log_partition: ``log Z`` of each column (batch,); minus infinity where no path is possible.
    """

    def __init__(self, layout: ChainLayout, span: MatrixRange, stride: int) -> None:
        """Run the forward recursion, rescaling every `stride` steps. Uses up the layout's scores."""
        self.layout = layout
        self._stride = stride
        peak = layout.scores.amax(dim=1, keepdim=True)
        peak.masked_fill_(peak <= LIMIT, 0.0)  # padding, and steps at which nothing is possible
        self._right = layout.scores.sub_(peak).exp_()  # w until the backward recursion, then gamma
        self._matrix = torch.exp(layout.matrix - span.top)
        self._left = torch.zeros_like(self._right)
        self._scales = torch.ones(self._left.shape[::2], dtype=self._left.dtype, device=self._left.device)
        with _flushed_denormals(self._left.device):
            self._run_forward()
        final = layout.ends_of(self._left)[1].sum(dim=1)
        logs = self._scales[stride::stride].log().sum(dim=0)
        self.log_partition = final.log() + peak.sum(dim=(0, 1)) + logs + span.top * layout.last
        self._posterior: Tensor | None = None
        self._inverse = torch.empty(0)
        self._checked = span.forbids
        self._agrees = True

    def unary(self) -> Tensor:
        """``p(y_t | x)`` (time, state, batch), zero where padded."""
        if self._posterior is None:
            self._posterior = self._finish()
        return self._posterior

    def pair_sum(self, weights: Tensor) -> Tensor:
        """``p(y_{t-1}, y_t | x)`` summed over steps and, weighted (batch,), over columns: (state, state)."""
        self.unary()
        right = self._right[1:] * (self._inverse * weights)
        return torch.bmm(self._left[:-1], right.transpose(1, 2)).sum(dim=0) * self._matrix

    def pair_sums(self) -> Tensor:
        """``p(y_{t-1}, y_t | x)`` summed over steps, of each column (state, state, batch)."""
        self.unary()
        right = self._right[1:] * self._inverse
        return _pairs_by_column(self._left[:-1], right) * self._batched()

    def pairs(self) -> Tensor:
        """``p(y_{t-1}, y_t | x)`` (time - 1, state, state, batch)."""
        self.unary()
        right = self._right[1:] * self._inverse
        return self._left[:-1, :, None] * self._batched() * right[:, None]

    def holds(self) -> bool:
        """False where a message lost something that matters to the rest of its sequence."""
        self.unary()
        return self._agrees and bool(torch.isfinite(self.log_partition).all())

    def _batched(self) -> Tensor:
        return self._matrix if self._matrix.dim() == 3 else self._matrix[:, :, None]

    def _run_forward(self) -> None:
        """Fill the forward messages and what they were divided by."""
        operations, (weights, messages, scales, matrix) = _arrays(self._right, self._left, self._scales, self._matrix)
        advance, multiply, stride = _product(operations, matrix), operations.multiply, self._stride
        tiny = torch.finfo(self._left.dtype).tiny
        batch, before = messages.shape[2], messages[0]
        before[:] = weights[0]
        with np.errstate(all="ignore"):
            for step, count in enumerate(self.layout.counts[1:], 1):
                here, weight = messages[step], weights[step]
                if count < batch:
                    before, here, weight = before[:, :count], here[:, :count], weight[:, :count]
                advance(before, out=here)
                multiply(here, weight, out=here)
                if not step % stride:
                    _rescale(operations, here, scales[step, :count], tiny)
                before = here

    def _finish(self) -> Tensor:
        """Backward recursion and posterior probabilities."""
        backward = torch.zeros_like(self._left)
        divisors = torch.ones_like(self._scales)
        with _flushed_denormals(backward.device):
            self._run_backward(backward, divisors)
            product = backward.mul_(self._left)
            mass = product.sum(dim=1)
            pair_mass = mass[:-1] * divisors[:-1]
            if self._checked:  # only then can something be lost that matters
                self._agrees = self._identity_holds(mass[1:], pair_mass)
            self._inverse = pair_mass.masked_fill_(pair_mass == 0, 1.0).reciprocal_()[:, None]
            return product.mul_(mass.masked_fill_(mass == 0, 1.0).reciprocal_()[:, None])

    def _run_backward(self, backward: Tensor, divisors: Tensor) -> None:
        """Fill the backward messages, what they were divided by, and gamma in the place of w."""
        operations, (weights, messages, scales, matrix) = _arrays(
            self._right, backward, divisors, self._matrix.transpose(0, 1).contiguous()
        )
        advance, multiply, stride = _product(operations, matrix), operations.multiply, self._stride
        tiny = torch.finfo(self._left.dtype).tiny
        batch, running, counts = messages.shape[2], 0, self.layout.counts
        with np.errstate(all="ignore"):
            for step in range(len(counts) - 1, -1, -1):
                count = counts[step]
                here = messages[step]
                if running and not step % stride:
                    _rescale(operations, here[:, :running], scales[step, :running], tiny)
                if count > running:
                    here[:, running:count] = 1.0  # sequences that end here
                    running = count
                if step:
                    gamma, before = weights[step], messages[step - 1]
                    if count < batch:
                        gamma, here, before = gamma[:, :count], here[:, :count], before[:, :count]
                    multiply(gamma, here, out=gamma)
                    advance(gamma, out=before)

    def _identity_holds(self, mass: Tensor, pair_mass: Tensor) -> bool:
        """Whether both sides of the identity of the module agree, and are above zero, at every step after the first."""
        steps = torch.arange(1, mass.shape[0] + 1, device=mass.device)[:, None]
        gap = (mass * self._scales[1:] - pair_mass).abs()
        apart = ~(gap <= AGREEMENT[mass.dtype] * pair_mass) | (pair_mass == 0)
        return not bool((apart & (steps <= self.layout.last)).any())


def _pairs_by_column(left: Tensor, right: Tensor) -> Tensor:
    """``sum_t left[t, i] right[t, j]`` of each column (state, state, batch)."""
    steps, states, batch = left.shape
    if states < MANY_STATES:
        return torch.stack([(left[:, state, None] * right).sum(dim=0) for state in range(states)])
    # transposed as one matrix, which torch does by blocks; then a product for each column
    flat = [values.reshape(steps, states * batch).t().contiguous() for values in (left, right)]
    before, after = (values.reshape(states, batch, steps).transpose(0, 1) for values in flat)
    return torch.bmm(before, after.transpose(1, 2)).permute(1, 2, 0)


class _Operations(NamedTuple):
    """The operations of a step, on arrays or on tensors; all write into ``out``."""

    matmul: Callable[..., Any]
    multiply: Callable[..., Any]
    total: Callable[..., Any]
    maximum: Callable[..., Any]
    copy: Callable[..., Any]


def _array_total(values: np.ndarray, out: np.ndarray) -> None:
    np.add.reduce(values, axis=0, out=out)


def _array_copy(values: np.ndarray) -> np.ndarray:
    return np.array(values, order="C")


def _tensor_copy(values: Tensor) -> Tensor:
    return values.clone(memory_format=torch.contiguous_format)


def _tensor_total(values: Tensor, out: Tensor) -> None:
    torch.sum(values, 0, out=out)


def _tensor_maximum(values: Tensor, least: float, out: Tensor) -> None:
    torch.clamp(values, min=least, out=out)


# A small operation of numpy costs half of what it costs in torch, and on the CPU both work on the same memory.
_ON_ARRAYS = _Operations(np.matmul, np.multiply, _array_total, np.maximum, _array_copy)
_ON_TENSORS = _Operations(torch.matmul, torch.mul, _tensor_total, _tensor_maximum, _tensor_copy)


def _arrays(*tensors: Tensor) -> tuple[_Operations, list[Any]]:
    """The operations for a device and the tensors in their form."""
    if tensors[0].device.type == "cpu":
        return _ON_ARRAYS, [tensor.numpy() for tensor in tensors]
    return _ON_TENSORS, list(tensors)


def _product(operations: _Operations, matrix: Any) -> Callable[..., Any]:
    """``out[j] = sum_i matrix[i, j] * message[i]`` for one matrix, or one a column."""
    if matrix.ndim == 2:
        return partial(operations.matmul, operations.copy(matrix.T))
    space = operations.copy(matrix)

    def own(message: Any, *, out: Any) -> None:
        count = message.shape[1]
        room = space[:, :, :count]
        operations.multiply(matrix[:, :, :count], message[:, None], out=room)
        operations.total(room, out)

    return own


def _rescale(operations: _Operations, message: Any, total: Any, tiny: float) -> None:
    """Divide a message by its sums and keep those; a message of zeros stays zero."""
    operations.total(message, total)
    operations.maximum(total, tiny, out=total)
    message /= total


@contextmanager
def _flushed_denormals(device: torch.device) -> Generator[None]:
    """Numbers below the normal range become zero meanwhile: they cost many times the time and say nothing here."""
    if device.type != "cpu":
        yield
        return
    kept = float(np.float32(1e-45) * np.float32(1.0)) != 0.0
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(not kept)
