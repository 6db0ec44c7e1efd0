"""Recurrent layers written out step by step, so that many persons' networks run side by side.

``torch.func.vmap`` cannot divide torch's own LSTM, GRU and RNN kernels by person, and some have no forward derivative.
Inside `plain_layers` these layers compute the same numbers from matrix products: for each layer and direction

    LSTM: i, f, g, o = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh;  c_t = s(f) c_{t-1} + s(i) tanh(g);  h_t = s(o) tanh(c_t)
    GRU:  r, z, n;  n = tanh(W_in x_t + b_in + s(r) (W_hn h_{t-1} + b_hn));  h_t = (1 - s(z)) n + s(z) h_{t-1}
    RNN:  h_t = tanh or relu(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh)

as in the documentation of `torch.nn.LSTM`, `torch.nn.GRU` and `torch.nn.RNN`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.overrides import TorchFunctionMode

# From what the input says at a step and the states before it to the states after it; the first one is the output.
Step = Callable[[Tensor, tuple[Tensor, ...], Sequence[Tensor | None]], tuple[Tensor, ...]]


@contextmanager
def plain_layers() -> Generator[None]:
    """Run recurrent layers and attention by operations that can be divided by person and derived twice."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with PlainRecurrence(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


class PlainRecurrence(TorchFunctionMode):
    """Within this context LSTM, GRU and RNN layers are written out; packed sequences and projections are not."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Replace the kernels of recurrent layers; everything else stays as it is."""
        known = _KERNELS.get(getattr(func, "__name__", ""))
        padded = known is not None and len(args) == 9 and isinstance(args[3], bool) and not kwargs
        if known is None or not padded or _projected(known[1], args):
            return func(*args, **(kwargs or {}))
        step, gates = known
        return _layers(step, gates, *args)


def _projected(gates: int, args: Sequence[Any]) -> bool:
    """Whether the output of an LSTM is projected to another size (``proj_size``)."""
    weights = args[2]
    return gates == 4 and weights[1].shape[-1] * gates != weights[1].shape[-2]


def _layers(  # noqa: PLR0913 - the arguments of torch's kernels, in their order
    step: Step,
    gates: int,
    rows: Tensor,
    start: Tensor | Sequence[Tensor],
    weights: Sequence[Tensor],
    biased: bool,
    layers: int,
    dropout: float,
    training: bool,
    both_ways: bool,
    batch_first: bool,
) -> tuple[Tensor, ...]:
    """Outputs of every step, and the last states, of stacked layers."""
    states = (start,) if isinstance(start, Tensor) else tuple(start)
    per_way, ways = (4 if biased else 2), (2 if both_ways else 1)
    outputs = rows.transpose(0, 1) if batch_first else rows
    last: list[tuple[Tensor, ...]] = []
    for layer in range(layers):
        found: list[Tensor] = []
        for way in range(ways):
            place = layer * ways + way
            own = weights[place * per_way : (place + 1) * per_way]
            steps, ended = _direction(step, outputs, tuple(state[place] for state in states), own, backwards=way == 1)
            found.append(steps)
            last.append(ended)
        outputs = torch.cat(found, dim=-1)
        if training and dropout and layer < layers - 1:
            outputs = torch.nn.functional.dropout(outputs, dropout, training=True)
    ends = (torch.stack([ended[kind] for ended in last]) for kind in range(len(states)))
    return (outputs.transpose(0, 1) if batch_first else outputs, *ends)


def _direction(
    step: Step,
    rows: Float[Tensor, "time batch feature"],
    states: tuple[Tensor, ...],
    weights: Sequence[Tensor],
    *,
    backwards: bool,
) -> tuple[Float[Tensor, "time batch state"], tuple[Tensor, ...]]:
    """One layer in one direction."""
    input_weight, bias = weights[0], weights[2] if len(weights) == 4 else None
    said = torch.nn.functional.linear(rows, input_weight, bias)
    recurrent = (weights[1], weights[3] if len(weights) == 4 else None)
    order = range(len(rows) - 1, -1, -1) if backwards else range(len(rows))
    found: dict[int, Tensor] = {}
    for time in order:
        states = step(said[time], states, recurrent)
        found[time] = states[0]
    return torch.stack([found[time] for time in range(len(rows))]), states


def _lstm(said: Tensor, states: tuple[Tensor, ...], weights: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    hidden, cell = states
    gates = said + torch.nn.functional.linear(hidden, _present(weights[0]), weights[1])
    entered, forgotten, proposed, shown = gates.chunk(4, dim=-1)
    cell = torch.sigmoid(forgotten) * cell + torch.sigmoid(entered) * torch.tanh(proposed)
    return torch.sigmoid(shown) * torch.tanh(cell), cell


def _gru(said: Tensor, states: tuple[Tensor, ...], weights: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    (hidden,) = states
    reset, kept, proposed = said.chunk(3, dim=-1)
    own_reset, own_kept, own_proposed = torch.nn.functional.linear(hidden, _present(weights[0]), weights[1]).chunk(
        3, dim=-1
    )
    share = torch.sigmoid(kept + own_kept)
    new = torch.tanh(proposed + torch.sigmoid(reset + own_reset) * own_proposed)
    return ((1.0 - share) * new + share * hidden,)


def _simple(activation: Callable[[Tensor], Tensor]) -> Step:
    def step(said: Tensor, states: tuple[Tensor, ...], weights: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
        return (activation(said + torch.nn.functional.linear(states[0], _present(weights[0]), weights[1])),)

    return step


def _present(weight: Tensor | None) -> Tensor:
    assert weight is not None
    return weight


# kernel: step and number of blocks in its weights
_KERNELS: dict[str, tuple[Step, int]] = {
    "lstm": (_lstm, 4),
    "gru": (_gru, 3),
    "rnn_tanh": (_simple(torch.tanh), 1),
    "rnn_relu": (_simple(torch.relu), 1),
}
