"""Linear-chain conditional random field: the quantities of the model.

A chain scores a state sequence ``y`` of length ``L`` with

    score(y) = start[y_1] + sum_t emissions[t, y_t] + sum_{t>1} transitions[y_{t-1}, y_t] + end[y_L],
    log p(y | x) = score(y) - log Z,    Z = sum over all sequences of exp(score)

(Lafferty, McCallum and Pereira, 2001; NME's Equation 3 with its printing error mended). Without ``start`` and ``end``
every state is equally likely at both ends. ``transitions``, ``start`` and ``end`` are the same for all sequences or
given one per sequence, so that persons can have their own.

``mask`` is true where a step exists; sequences are padded on the right. A label of -1 is a missing label: the
likelihood then sums over the states it may have had. A score of -1e8 or less (write `IMPOSSIBLE`, -1e9) means
impossible: its probability and its gradient are exactly zero, and a sequence without any possible path is an error
(E136). All functions keep the dtype (half precision is computed and returned in float32) and run on the device of their
arguments; `log_partition`, `log_likelihood`, `score`, `marginals`, `filtered` and `forecast` are differentiable.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from toolkit.errors import DataError
from toolkit.numerics import chain_labels, chain_recursions
from toolkit.numerics.chain_checks import check_scores, check_states, refuse_impossible
from toolkit.numerics.chain_functions import chain_value, expected_pairs, posterior_pairs, posterior_states
from toolkit.numerics.chain_layout import IMPOSSIBLE, LIMIT
from toolkit.numerics.chain_messages import Messages, run_messages
from toolkit.numerics.chain_paths import n_best, viterbi

__all__ = [
    "IMPOSSIBLE",
    "LIMIT",
    "expected_transitions",
    "filtered",
    "forecast",
    "log_likelihood",
    "log_partition",
    "marginals",
    "n_best",
    "score",
    "viterbi",
]


def log_partition(
    emissions: Float[Tensor, "batch time state"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, "*batch_or_shared state"] | None = None,
    end: Float[Tensor, "*batch_or_shared state"] | None = None,
) -> Float[Tensor, " batch"]:
    """Log of the normaliser, ``log Z``; twice differentiable, also under `torch.func`.

    ``alpha_t[s] = emissions[t, s] + logsumexp_r(alpha_{t-1}[r] + transitions[r, s])``, ``log Z =
    logsumexp_s(alpha_L[s] + end[s])``; computed on rescaled probabilities where these are exact (see
    `toolkit.numerics.chain_scaled`).

    Raises:
        DataError: E130 when shapes do not fit or a mask has a gap; E136 for a sequence without a possible path.
    """
    check_scores(emissions, transitions, mask, start, end)
    return _value(*_promoted(emissions, transitions, start, end), None, mask)


def log_likelihood(
    emissions: Float[Tensor, "batch time state"],
    states: Int[Tensor, "batch time"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, "*batch_or_shared state"] | None = None,
    end: Float[Tensor, "*batch_or_shared state"] | None = None,
) -> Float[Tensor, " batch"]:
    """Log-probability of the observed labels, ``score(y) - log Z``; labels of -1 inside a sequence are summed over.

    Twice differentiable, also under `torch.func`.

    Raises:
        DataError: E130 when shapes do not fit, a mask has a gap, or a label is not a state; E136 for a sequence
            without a possible path, or labels that hold a forbidden transition.
    """
    check_scores(emissions, transitions, mask, start, end)
    missing = check_states(states, emissions, mask)
    given = _promoted(emissions, transitions, start, end)
    path = chain_labels.complete_path(states, mask)
    if not missing:
        return _value(*given, path, mask)
    return _with_missing(given, states, mask)


def score(
    emissions: Float[Tensor, "batch time state"],
    states: Int[Tensor, "batch time"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, "*batch_or_shared state"] | None = None,
    end: Float[Tensor, "*batch_or_shared state"] | None = None,
) -> Float[Tensor, " batch"]:
    """Unnormalised log-score of fully labelled sequences. Padded steps count nothing."""
    return chain_labels.path_score(emissions, chain_labels.complete_path(states, mask), transitions, mask, start, end)


def marginals(
    emissions: Float[Tensor, "batch time state"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, "*batch_or_shared state"] | None = None,
    end: Float[Tensor, "*batch_or_shared state"] | None = None,
) -> tuple[Float[Tensor, "batch time state"], Float[Tensor, "batch steps state state"]]:
    """Posterior probabilities of states, ``p(y_t | x)``, and of pairs of successive states, ``p(y_{t-1}, y_t | x)``.

    Where a gradient is asked for, the differentiable recursion on log-sums is taken.

    Returns:
        Unary marginals (batch, time, state) and pairwise marginals (batch, time - 1, from state, to state); zero
        where padded.

    Raises:
        DataError: as `log_partition`.
    """
    check_scores(emissions, transitions, mask, start, end)
    given = _promoted(emissions, transitions, start, end)
    if _differentiated(*given):
        return chain_recursions.log_space_marginals(given[0], given[1], mask, given[2], given[3])
    messages = _messages(given, mask)
    return posterior_states(messages), posterior_pairs(messages)


def expected_transitions(
    emissions: Float[Tensor, "batch time state"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, "*batch_or_shared state"] | None = None,
    end: Float[Tensor, "*batch_or_shared state"] | None = None,
) -> Float[Tensor, "batch state state"]:
    """Expected number of each transition, ``sum_t p(y_{t-1}, y_t | x)``: the pairwise marginals summed, in less memory.

    Not differentiable; the gradient of `log_partition` by a matrix per sequence is the same quantity and is.

    Raises:
        DataError: as `log_partition`.
    """
    check_scores(emissions, transitions, mask, start, end)
    given = _promoted(emissions, transitions, start, end)
    with torch.no_grad():
        return expected_pairs(_messages(given, mask))


def filtered(
    emissions: Float[Tensor, "batch time state"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, "*batch_or_shared state"] | None = None,
) -> Float[Tensor, "batch time state"]:
    """State probabilities from what is known up to each step, ``p(y_t | x_1..x_t)``: the chain cut off after step t.

    Raises:
        DataError: as `log_partition`.
    """
    check_scores(emissions, transitions, mask, start, None)
    emissions, transitions, start, _ = _promoted(emissions, transitions, start, None)
    forward = torch.stack(chain_recursions.forward_messages(emissions, transitions, mask, start), dim=1)
    return _as_probabilities(forward, mask)


def forecast(
    emissions: Float[Tensor, "batch time state"],
    states: Int[Tensor, "batch time"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, "*batch_or_shared state"] | None = None,
) -> Float[Tensor, "batch time state"]:
    """State probabilities one step ahead, ``p(y_t | y_1..y_{t-1}, x_1..x_t)``: the chain cut off after step t.

    Earlier states are taken as observed: ``softmax_s(emissions[t, s] + transitions[y_{t-1}, s])``; a missing one (-1)
    is summed over.

    Raises:
        DataError: as `log_likelihood`; a forbidden transition among the labels is no error, a state that nothing may
            follow is.
    """
    check_scores(emissions, transitions, mask, start, None)
    check_states(states, emissions, mask)
    emissions, transitions, start, _ = _promoted(emissions, transitions, start, None)
    known = states if mask is None else torch.where(mask, states, -1)
    ahead = torch.stack(chain_recursions.forecast_messages(emissions, known, transitions, start), dim=1)
    return _as_probabilities(ahead, mask)


def _value(
    emissions: Tensor,
    transitions: Tensor,
    start: Tensor | None,
    end: Tensor | None,
    path: Tensor | None,
    mask: Tensor | None,
) -> Tensor:
    """The differentiable value; messages are kept for the backward pass where there can be one."""
    keep = _differentiated(emissions, transitions, start, end)
    return chain_value(emissions, transitions, start, end, path, mask, keep)


def _with_missing(
    given: tuple[Tensor, Tensor, Tensor | None, Tensor | None], states: Tensor, mask: Tensor | None
) -> Tensor:
    """``log Z`` of what agrees with the labels less ``log Z``, both in one batch; -1 agrees with every state."""
    emissions, transitions, start, end = given
    every = torch.arange(emissions.shape[2], device=states.device)
    allowed = (states[..., None] < 0) | (states[..., None] == every)
    if mask is not None:
        allowed = allowed | ~mask[..., None]

    def twice(values: Tensor | None, shared: int) -> Tensor | None:
        return values if values is None or values.dim() == shared else torch.cat([values, values])

    both = torch.cat([torch.where(allowed, emissions, IMPOSSIBLE), emissions])
    matrix = transitions if transitions.dim() == 2 else torch.cat([transitions, transitions])
    values = _value(both, matrix, twice(start, 1), twice(end, 1), None, twice(mask, -1))
    agreeing, free = values.chunk(2)
    return agreeing - free


def _messages(given: tuple[Tensor, Tensor, Tensor | None, Tensor | None], mask: Tensor | None) -> Messages:
    """Messages without a gradient."""
    emissions, transitions, start, end = (None if value is None else value.detach() for value in given)
    assert emissions is not None
    assert transitions is not None
    messages = run_messages(emissions, transitions, mask, start, end)
    refuse_impossible(messages.layout.by_sequence(messages.log_partition))
    return messages


def _as_probabilities(messages: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax over states, zero where padded; E136 where no state is possible."""
    present = messages if mask is None else torch.where(mask[..., None], messages, 0.0)
    if not torch.compiler.is_compiling() and bool((present.detach().amax(dim=2) <= LIMIT).any()):
        raise DataError(
            "a step has no possible state",
            code="E136",
            remedy="allow more transitions or starts: every state that occurs needs one that may follow it",
        )
    probabilities = torch.softmax(present, dim=-1)
    return probabilities if mask is None else torch.where(mask[..., None], probabilities, 0.0)


def _promoted(
    emissions: Tensor, transitions: Tensor, start: Tensor | None, end: Tensor | None
) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """All in the widest dtype among them, which is at least float32."""
    dtype = torch.float32
    given = (emissions, transitions, start, end)
    for value in given:
        dtype = dtype if value is None else torch.promote_types(dtype, value.dtype)
    emissions, transitions = emissions.to(dtype), transitions.to(dtype)
    return emissions, transitions, None if start is None else start.to(dtype), None if end is None else end.to(dtype)


def _differentiated(*values: Tensor | None) -> bool:
    """Whether anything may ask for derivatives; under a transform of `torch.func` everything may."""
    transformed = torch._C._are_functorch_transforms_active()  # pyright: ignore
    return transformed or (
        torch.is_grad_enabled() and any(value is not None and value.requires_grad for value in values)
    )
