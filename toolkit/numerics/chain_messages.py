"""Which recursion a batch takes: on rescaled probabilities where that is exact, else on log-sums."""

from __future__ import annotations

import torch
from torch import Tensor

from toolkit.numerics.chain_layout import LIMIT, ChainLayout, lay_out
from toolkit.numerics.chain_logspace import LogMessages
from toolkit.numerics.chain_scaled import ScaledMessages, matrix_range, rescaling_stride

Messages = ScaledMessages | LogMessages


def run_messages(
    emissions: Tensor,
    transitions: Tensor,
    mask: Tensor | None,
    start: Tensor | None = None,
    end: Tensor | None = None,
) -> Messages:
    """Forward messages of a checked batch, from the recursion that is exact for its scores.

    Probabilities need a range of transition scores of at most 60 nats in float32 and 600 in float64; otherwise, and
    where the check of a chain with impossible transitions fails, log-sums are taken.
    """
    layout = lay_out(emissions, transitions, mask, start, end)
    span = matrix_range(layout.matrix)
    states, dtype = layout.scores.shape[1], layout.scores.dtype
    if not span.forbids:
        stride = rescaling_stride(span.span, states, dtype)
        return ScaledMessages(layout, span, stride) if stride else LogMessages(layout)
    # what is forbidden can force a path through unlikely emissions, so their range counts too
    stride = rescaling_stride(span.span + _emission_range(layout), states, dtype)
    if span.span != span.span:
        return LogMessages(layout)
    messages = ScaledMessages(layout, span, max(stride, 1))
    return messages if messages.holds() else LogMessages(lay_out(emissions, transitions, mask, start, end))


def _emission_range(layout: ChainLayout) -> float:
    """Largest difference of two possible scores of one step."""
    possible = layout.scores > LIMIT
    top = layout.scores.amax(dim=1)
    low = torch.where(possible, layout.scores, torch.inf).amin(dim=1)
    return float(torch.where(possible.any(dim=1), top - low, 0.0).amax())
