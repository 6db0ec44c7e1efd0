"""Linear-chain conditional random field: the four quantities of the model, in log space.

A chain scores a state sequence ``y`` of length ``L`` with

    score(y) = start[y_1] + sum_t emissions[t, y_t] + sum_{t>1} transitions[y_{t-1}, y_t] + end[y_L],
    log p(y | x) = score(y) - log Z,    Z = sum over all sequences of exp(score)

(Lafferty, McCallum and Pereira, 2001; NME's Equation 3 with its printing error mended). Without ``start`` and ``end``
every state is equally likely at both ends. ``transitions`` is one matrix for all sequences or one per sequence, so
that persons can have their own.

``mask`` is true where a step exists; sequences are padded on the right. A label of -1 is a missing label: the
likelihood then sums over the states it may have had. All functions are differentiable, keep the dtype and run on the
device of their arguments.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from toolkit.errors import DataError

# Finite stand-in for log(0): keeps gradients of logsumexp defined, and no path of ordinary scores reaches it.
IMPOSSIBLE = -1e9


def log_partition(
    emissions: Float[Tensor, "batch time state"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, " state"] | None = None,
    end: Float[Tensor, " state"] | None = None,
) -> Float[Tensor, " batch"]:
    """Log of the normaliser, ``log Z``, by the forward recursion.

    ``alpha_t[s] = emissions[t, s] + logsumexp_r(alpha_{t-1}[r] + transitions[r, s])``, ``log Z =
    logsumexp_s(alpha_L[s] + end[s])``.

    Raises:
        DataError: E130 when shapes do not fit or a mask has a gap.
    """
    _check(emissions, transitions, mask, start, end)
    last = _forward(emissions, transitions, mask, start)[-1]
    return torch.logsumexp(last if end is None else last + end, dim=-1)


def log_likelihood(
    emissions: Float[Tensor, "batch time state"],
    states: Int[Tensor, "batch time"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, " state"] | None = None,
    end: Float[Tensor, " state"] | None = None,
) -> Float[Tensor, " batch"]:
    """Log-probability of the observed labels, ``score(y) - log Z``; labels of -1 inside a sequence are summed over.

    Raises:
        DataError: E130 when shapes do not fit, a mask has a gap, or a label is not a state.
    """
    _check(emissions, transitions, mask, start, end)
    _check_states(states, emissions, mask)
    normaliser = log_partition(emissions, transitions, mask, start, end)
    present = torch.ones_like(states, dtype=torch.bool) if mask is None else mask
    if bool(((states < 0) & present).any()):
        return _constrained_partition(emissions, states, transitions, mask, start, end) - normaliser
    return score(emissions, states, transitions, mask, start, end) - normaliser


def score(
    emissions: Float[Tensor, "batch time state"],
    states: Int[Tensor, "batch time"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, " state"] | None = None,
    end: Float[Tensor, " state"] | None = None,
) -> Float[Tensor, " batch"]:
    """Unnormalised log-score of fully labelled sequences. Padded steps count nothing."""
    present = torch.ones_like(states, dtype=torch.bool) if mask is None else mask
    path = torch.where(present, states, 0).clamp(min=0)  # padding may hold any label; its score is zeroed below
    steps = torch.gather(emissions, 2, path.unsqueeze(-1)).squeeze(-1)
    total = (steps * present).sum(dim=1)
    total = total + (_gather_transitions(transitions, path) * present[:, 1:]).sum(dim=1)
    if start is not None:
        total = total + start[path[:, 0]]
    if end is not None:
        final = torch.gather(path, 1, present.sum(dim=1, keepdim=True) - 1).squeeze(1)
        total = total + end[final]
    return total


def marginals(
    emissions: Float[Tensor, "batch time state"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, " state"] | None = None,
    end: Float[Tensor, " state"] | None = None,
) -> tuple[Float[Tensor, "batch time state"], Float[Tensor, "batch steps state state"]]:
    """Posterior probabilities of states, ``p(y_t | x)``, and of pairs of successive states, ``p(y_{t-1}, y_t | x)``.

    Returns:
        Unary marginals (batch, time, state) and pairwise marginals (batch, time - 1, from state, to state); zero
        where padded.
    """
    _check(emissions, transitions, mask, start, end)
    forward = torch.stack(_forward(emissions, transitions, mask, start), dim=1)
    backward = torch.stack(_backward(emissions, transitions, mask, end), dim=1)
    final = forward[:, -1] if end is None else forward[:, -1] + end
    normaliser = torch.logsumexp(final, dim=-1)[:, None, None]
    unary = torch.exp(forward + backward - normaliser)
    matrix = _per_sequence(transitions)[:, None]
    pairs = forward[:, :-1, :, None] + matrix + (emissions + backward)[:, 1:, None, :] - normaliser[..., None]
    pairwise = torch.exp(pairs)
    if mask is None:
        return unary, pairwise
    # where, not multiplication: a padded step may overflow to infinity before it is dropped
    return torch.where(mask[..., None], unary, 0.0), torch.where(mask[:, 1:, None, None], pairwise, 0.0)


def filtered(
    emissions: Float[Tensor, "batch time state"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, " state"] | None = None,
) -> Float[Tensor, "batch time state"]:
    """State probabilities from what is known up to each step, ``p(y_t | x_1..x_t)``: the chain cut off after step t."""
    _check(emissions, transitions, mask, start, None)
    forward = torch.stack(_forward(emissions, transitions, mask, start), dim=1)
    probabilities = torch.softmax(forward, dim=-1)
    return probabilities if mask is None else torch.where(mask[..., None], probabilities, 0.0)


def forecast(
    emissions: Float[Tensor, "batch time state"],
    states: Int[Tensor, "batch time"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, " state"] | None = None,
) -> Float[Tensor, "batch time state"]:
    """State probabilities one step ahead, ``p(y_t | y_1..y_{t-1}, x_1..x_t)``: the chain cut off after step t.

    Earlier states are taken as observed: ``softmax_s(emissions[t, s] + transitions[y_{t-1}, s])``; a missing one (-1)
    is summed over.
    """
    _check(emissions, transitions, mask, start, None)
    _check_states(states, emissions, mask)
    matrix = _per_sequence(transitions)
    every = torch.arange(emissions.shape[2], device=states.device)
    allowed = (states[..., None] < 0) | (states[..., None] == every)
    message = emissions[:, 0] if start is None else emissions[:, 0] + start
    ahead = [message]
    for step, before in zip(emissions.unbind(1)[1:], allowed.unbind(1)[:-1], strict=True):
        known = torch.where(before, message, IMPOSSIBLE)
        message = torch.logsumexp(known[:, :, None] + matrix, dim=1) + step
        message = message - torch.logsumexp(message, dim=1, keepdim=True)
        ahead.append(message)
    probabilities = torch.softmax(torch.stack(ahead, dim=1), dim=-1)
    return probabilities if mask is None else torch.where(mask[..., None], probabilities, 0.0)


def viterbi(
    emissions: Float[Tensor, "batch time state"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, " state"] | None = None,
    end: Float[Tensor, " state"] | None = None,
) -> tuple[Int[Tensor, "batch time"], Float[Tensor, " batch"]]:
    """Most likely states, -1 where padded, and their score; of equal paths the one with the lower state wins."""
    _check(emissions, transitions, mask, start, end)
    present = torch.ones(emissions.shape[:2], dtype=torch.bool, device=emissions.device) if mask is None else mask
    matrix = _per_sequence(transitions)
    best = emissions[:, 0] if start is None else emissions[:, 0] + start
    origins: list[Tensor] = []
    stay = torch.arange(emissions.shape[2], device=emissions.device).expand(emissions.shape[0], -1)
    for step, keep in zip(emissions.unbind(1)[1:], present.unbind(1)[1:], strict=True):
        value, origin = (best[:, :, None] + matrix).max(dim=1)
        best = torch.where(keep[:, None], value + step, best)
        origins.append(torch.where(keep[:, None], origin, stay))
    top, state = (best if end is None else best + end).max(dim=-1)
    path = [state]
    for origin in reversed(origins):
        path.append(torch.gather(origin, 1, path[-1][:, None]).squeeze(1))
    states = torch.stack(path[::-1], dim=1)
    return torch.where(present, states, -1), top


def _forward(emissions: Tensor, transitions: Tensor, mask: Tensor | None, start: Tensor | None) -> list[Tensor]:
    """Forward messages, one (batch, state) tensor a step; a padded step repeats the last real one."""
    matrix = _per_sequence(transitions)
    # unbind once: indexing emissions[:, t] would zero-fill the whole tensor per step in the backward pass
    steps = emissions.unbind(1)
    keeps = [None] * len(steps) if mask is None else list(mask.unbind(1))
    messages = [steps[0] if start is None else steps[0] + start]
    for step, keep in zip(steps[1:], keeps[1:], strict=True):
        value = torch.logsumexp(messages[-1][:, :, None] + matrix, dim=1) + step
        messages.append(value if keep is None else torch.where(keep[:, None], value, messages[-1]))
    return messages


def _backward(emissions: Tensor, transitions: Tensor, mask: Tensor | None, end: Tensor | None) -> list[Tensor]:
    """Backward messages; at the last real step (and on the padding after it) the end scores."""
    matrix = _per_sequence(transitions)
    steps = emissions.unbind(1)
    keeps = [None] * len(steps) if mask is None else list(mask.unbind(1))
    final = torch.zeros_like(steps[0]) if end is None else torch.zeros_like(steps[0]) + end
    messages = [final]
    for step, keep in zip(steps[:0:-1], keeps[:0:-1], strict=True):
        value = torch.logsumexp(matrix + (step + messages[-1])[:, None, :], dim=2)
        messages.append(value if keep is None else torch.where(keep[:, None], value, messages[-1]))
    return messages[::-1]


def _constrained_partition(
    emissions: Tensor,
    states: Tensor,
    transitions: Tensor,
    mask: Tensor | None,
    start: Tensor | None,
    end: Tensor | None,
) -> Tensor:
    """Log-sum over the sequences that agree with the labels given; -1 agrees with every state."""
    every = torch.arange(emissions.shape[2], device=states.device)
    allowed = (states[..., None] < 0) | (states[..., None] == every)
    return log_partition(torch.where(allowed, emissions, IMPOSSIBLE), transitions, mask, start, end)


def _gather_transitions(transitions: Tensor, path: Tensor) -> Tensor:
    """Transition scores along the path, (batch, time - 1)."""
    if transitions.dim() == 2:
        return transitions[path[:, :-1], path[:, 1:]]
    batch = torch.arange(path.shape[0], device=path.device)[:, None]
    return transitions[batch, path[:, :-1], path[:, 1:]]


def _per_sequence(transitions: Tensor) -> Tensor:
    """Transitions with a leading batch dimension (of size one when shared)."""
    return transitions if transitions.dim() == 3 else transitions[None]


def _check(
    emissions: Tensor, transitions: Tensor, mask: Tensor | None, start: Tensor | None, end: Tensor | None
) -> None:
    """Shapes that fit together, at least one step, and masks without gaps."""
    if emissions.dim() != 3 or emissions.shape[1] < 1:
        raise DataError(f"emissions need shape (batch, time, state), got {tuple(emissions.shape)}", code="E130")
    batch, time, states = emissions.shape
    if tuple(transitions.shape) not in {(states, states), (batch, states, states)}:
        raise DataError(
            f"transitions need shape ({states}, {states}), or that for each of {batch} sequences; "
            f"got {tuple(transitions.shape)}",
            code="E130",
        )
    for name, values in (("start", start), ("end", end)):
        if values is not None and tuple(values.shape) != (states,):
            raise DataError(f"{name} needs shape ({states},), got {tuple(values.shape)}", code="E130")
    if mask is None:
        return
    if tuple(mask.shape) != (batch, time) or mask.dtype != torch.bool:
        raise DataError(f"mask needs shape ({batch}, {time}) and type bool", code="E130")
    if not torch.compiler.is_compiling() and not _is_right_padded(mask):
        raise DataError("a mask has a gap or an empty sequence", code="E130", remedy="pad sequences on the right only")


def _is_right_padded(mask: Tensor) -> bool:
    """True when every sequence starts with a real step and no real step follows a padded one."""
    return bool(mask[:, 0].all()) and not bool((mask[:, 1:] & ~mask[:, :-1]).any())


def _check_states(states: Tensor, emissions: Tensor, mask: Tensor | None) -> None:
    """Labels are -1 (missing) or a state; the label of a padded step does not matter."""
    if states.shape != emissions.shape[:2]:
        raise DataError(f"states need shape {tuple(emissions.shape[:2])}, got {tuple(states.shape)}", code="E130")
    present = states if mask is None else torch.where(mask, states, 0)
    if bool((present >= emissions.shape[2]).any()) or bool((present < -1).any()):
        raise DataError(f"a label is not one of the {emissions.shape[2]} states", code="E130")
