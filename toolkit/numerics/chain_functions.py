"""``log Z`` and the log-likelihood as differentiable functions with derivatives of their own.

Three functions, each the derivative of the one before: values (`ChainValue`), probabilities (`_Probabilities`, their
gradient) and covariances (`_Covariances`, their curvature). All work in reverse mode, in forward mode and under
`torch.func` (``grad``, ``jvp``, ``vmap``, ``hessian``); a third derivative is an error. When gradients are not
differentiated themselves (training), the backward pass goes on from the messages of the forward pass.
"""

from __future__ import annotations

import inspect
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import Function

from toolkit.numerics import chain_labels as labels
from toolkit.numerics.chain_checks import refuse_impossible, refuse_label_paths
from toolkit.numerics.chain_curvature import covariance_products
from toolkit.numerics.chain_layout import LIMIT, fold_ends
from toolkit.numerics.chain_messages import Messages, run_messages


class ChainValue(Function):
    """``log Z`` of each sequence, or with a complete path ``score(path) - log Z``."""

    @staticmethod
    def forward(  # noqa: D102  (the arguments of the chain)
        emissions: Tensor,
        transitions: Tensor,
        start: Tensor | None,
        end: Tensor | None,
        path: Tensor | None,
        mask: Tensor | None,
        keep: bool,
    ) -> tuple[Tensor, Messages | None]:
        messages = run_messages(emissions, transitions, mask, start, end)
        value = messages.layout.by_sequence(messages.log_partition)
        refuse_impossible(value)
        if path is not None:
            score = labels.path_score(emissions, path, transitions, mask, start, end)
            refuse_label_paths(score <= LIMIT)
            value = score - value
        return value, messages if keep else None

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Messages | None]) -> None:  # noqa: D102
        _remember(ctx, inputs[:4])
        ctx.path, ctx.mask = inputs[4:6]
        ctx.messages = output[1]

    @staticmethod
    def backward(ctx: Any, slope: Tensor, _: Any) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]  # noqa: D102
        given = ctx.saved_tensors
        if ctx.messages is not None and not torch.is_grad_enabled():
            slopes = _first_derivatives(ctx.messages, given, ctx.path, ctx.mask, slope)
        else:
            by_emission, by_matrix = _unit_slopes(given, ctx.path, ctx.mask)
            by_emission = slope[:, None, None] * by_emission
            by_matrix = slope[:, None, None] * by_matrix
            by_matrix = by_matrix if given[1].dim() == 3 else by_matrix.sum(dim=0)
            slopes = (by_emission, by_matrix, *_end_slopes(by_emission, given, ctx.mask))
        return *slopes, None, None, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, None]:  # noqa: D102
        by_emission, by_matrix = _unit_slopes(ctx.saved_tensors, ctx.path, ctx.mask)
        change = torch.zeros_like(by_emission[:, 0, 0])
        if any(tangents[place] is not None for place in (0, 2, 3)):
            along = torch.zeros_like(by_emission) if tangents[0] is None else tangents[0]
            along = fold_ends(along, tangents[2], tangents[3], ctx.mask)
            change = change + (by_emission * along).sum(dim=(1, 2))
        if tangents[1] is not None:
            change = change + (by_matrix * tangents[1]).sum(dim=(1, 2))
        return change, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, tuple[int, None]]:  # noqa: D102
        folded, count, batch = _fold_all(info.batch_size, in_dims, inputs, (None, 2, 1, 1, None, None))
        value, _ = _applied(ChainValue, *folded, False)
        return (value.reshape(count, batch), None), (0, None)


class _Probabilities(Function):
    """State probabilities (batch, time, state) and expected transitions (batch, state, state): the slopes of ``log Z``.

    Start and end scores are part of the emissions here.
    """

    @staticmethod
    def forward(emissions: Tensor, transitions: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        messages = run_messages(emissions, transitions, mask)
        return posterior_states(messages), expected_pairs(messages)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        _remember(ctx, inputs)

    @staticmethod
    def backward(ctx: Any, by_states: Tensor, by_pairs: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        emissions, transitions, mask = ctx.saved_tensors
        # the curvature is symmetric: its transpose times a vector is itself times the vector
        found = _applied(_Covariances, emissions, transitions, mask, by_states[None], by_pairs[None])
        by_matrix = found[1][0] if transitions.dim() == 3 else found[1][0].sum(dim=0)
        return found[0][0], by_matrix, None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> tuple[Tensor, Tensor]:
        at, matrix, mask = ctx.saved_tensors
        emissions, transitions = tangents[:2]
        along = torch.zeros_like(at) if emissions is None else emissions
        turned = torch.zeros_like(matrix) if transitions is None else transitions
        turned = turned.expand(at.shape[0], *matrix.shape[-2:])
        found = _applied(_Covariances, at, matrix, mask, along[None], turned[None])
        return found[0][0], found[1][0]

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, tuple[int, int]]:
        folded, count, batch = _fold_all(info.batch_size, in_dims, inputs, (None, 2, None))
        unary, pairs = _applied(_Probabilities, *folded)
        return (unary.reshape(count, batch, *unary.shape[1:]), pairs.reshape(count, batch, *pairs.shape[1:])), (0, 0)


class _Covariances(Function):
    """Curvature of ``log Z`` of each sequence times directions; see `covariance_products`."""

    @staticmethod
    def forward(
        emissions: Tensor, transitions: Tensor, mask: Tensor | None, along: Tensor, turned: Tensor
    ) -> tuple[Tensor, Tensor]:
        messages = run_messages(emissions, transitions, mask)
        return covariance_products(posterior_states(messages), posterior_pairs(messages), along, turned)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        del ctx, inputs, output

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> None:
        raise NotImplementedError(THIRD)

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor | None) -> None:
        raise NotImplementedError(THIRD)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Any, tuple[int, int]]:
        count = info.batch_size
        if all(dim is None for dim in in_dims[:3]):  # many directions at one place: one recursion for all
            many = [_leading(value, dim, count) for value, dim in zip(inputs[3:], in_dims[3:], strict=True)]
            found = _applied(_Covariances, *inputs[:3], *(value.flatten(0, 1) for value in many))
            return tuple(value.unflatten(0, (count, -1)) for value in found), (0, 0)
        folded, count, batch = _fold_all(count, in_dims[:3], inputs[:3], (None, 2, None))
        many = [_leading(value, dim, count) for value, dim in zip(inputs[3:], in_dims[3:], strict=True)]
        found = _applied(_Covariances, *folded, *(value.transpose(0, 1).flatten(1, 2) for value in many))
        return tuple(value.unflatten(1, (count, batch)) for value in found), (1, 1)


THIRD = "the chain has no third derivatives"
# torch asks for the signature at each call; Python works it out anew unless it is kept here
for _function in (ChainValue, _Probabilities, _Covariances):
    cast("Any", _function.forward).__signature__ = inspect.signature(_function.forward)


def chain_value(*arguments: Any) -> Tensor:
    """The value of `ChainValue` for its arguments."""
    return _applied(ChainValue, *arguments)[0]


def posterior_states(messages: Messages) -> Tensor:
    """State probabilities (batch, time, state), zero where padded."""
    return messages.layout.steps_by_sequence(messages.unary())


def expected_pairs(messages: Messages) -> Tensor:
    """Expected number of each transition (batch, state, state)."""
    return messages.layout.by_sequence(messages.pair_sums().permute(2, 0, 1).contiguous())


def posterior_pairs(messages: Messages) -> Tensor:
    """Probabilities of successive states (batch, time - 1, state, state), zero where padded."""
    pairs = messages.layout.by_sequence(messages.pairs().permute(3, 0, 1, 2).contiguous())
    missing = messages.layout.steps - 1 - pairs.shape[1]
    return torch.nn.functional.pad(pairs, (0, 0, 0, 0, 0, missing)) if missing else pairs


def _first_derivatives(
    messages: Messages, given: tuple[Any, ...], path: Tensor | None, mask: Tensor | None, slope: Tensor
) -> tuple[Tensor | None, ...]:
    """Slopes of the weighted values, with respect to emissions, transitions, start and end."""
    layout, transitions = messages.layout, given[1]
    weights = layout.by_column(slope) if path is None else -layout.by_column(slope)
    by_emission = layout.steps_by_sequence(messages.unary() * weights)
    if transitions.dim() == 2:
        by_matrix = messages.pair_sum(weights)
    else:
        by_matrix = layout.by_sequence((messages.pair_sums() * weights).permute(2, 0, 1).contiguous())
    if path is not None:
        labels.add_labels(by_emission, path, mask, slope)
        labels.add_label_transitions(by_matrix, path, mask, slope)
    return by_emission, by_matrix, *_end_slopes(by_emission, given, mask)


def _unit_slopes(given: tuple[Any, ...], path: Tensor | None, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Slopes of each sequence's value by emissions (batch, time, state) and transitions (batch, state, state)."""
    emissions, transitions, start, end = given
    folded = fold_ends(emissions, start, end, mask)
    unary, pairs = _applied(_Probabilities, folded, transitions, mask)
    if path is None:
        return unary, pairs
    indicators, counts = labels.label_indicators(path, mask, emissions)
    return indicators - unary, counts - pairs


def _end_slopes(by_emission: Tensor, given: tuple[Any, ...], mask: Tensor | None) -> tuple[Tensor | None, ...]:
    """Slopes by start and end scores, which are slopes by the first and last emissions."""
    start, end = given[2:4]
    by_start = by_end = None
    if start is not None:
        by_start = by_emission[:, 0] if start.dim() == 2 else by_emission[:, 0].sum(dim=0)
    if end is not None:
        last = labels.last_steps(by_emission, mask)[:, None, None].expand(-1, 1, by_emission.shape[2])
        by_end = torch.gather(by_emission, 1, last).squeeze(1)
        by_end = by_end if end.dim() == 2 else by_end.sum(dim=0)
    return by_start, by_end


def _applied(function: type[Function], *arguments: Any) -> Any:
    """The function's value; torch leaves ``apply`` without a type."""
    return cast("Any", function).apply(*arguments)


def _remember(ctx: Any, inputs: tuple[Any, ...]) -> None:
    ctx.save_for_backward(*inputs)
    ctx.save_for_forward(*inputs)


def _leading(value: Tensor, dim: int | None, count: int) -> Tensor:
    """The mapped dimension in front."""
    return value.expand(count, *value.shape) if dim is None else value.movedim(dim, 0)


def _fold_all(
    count: int, dims: tuple[int | None, ...], values: tuple[Any, ...], shared: tuple[int | None, ...]
) -> tuple[list[Any], int, int]:
    """Mapped arguments as one batch of ``count * batch`` sequences.

    Args:
        count: size of the mapped dimension.
        dims: place of the mapped dimension of each argument; None if it is not mapped.
        values: the arguments, emissions first.
        shared: number of dimensions of an argument that all sequences share; None if it is always one a sequence.

    Returns:
        The arguments, count, and batch.
    """
    batch = _leading(values[0], dims[0], count).shape[1]

    def fold(value: Any, dim: int | None, rank: int | None) -> Any:
        if value is None or (dim is None and value.dim() == rank):
            return value
        front = _leading(value, dim, count)
        if front.dim() - 1 == rank:
            front = front[:, None].expand(count, batch, *front.shape[1:])
        return front.flatten(0, 1)

    return [fold(*each) for each in zip(values, dims, shared, strict=False)], count, batch
