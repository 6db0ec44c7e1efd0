"""The best paths of a chain: the most likely one (Viterbi, 1967), and the n best.

The most likely path needs only the best scores on the way forward; which state led to them is looked up afterwards,
along the path found, for one state a step instead of for all.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from toolkit.errors import DataError
from toolkit.numerics.chain_checks import check_scores, refuse_impossible
from toolkit.numerics.chain_layout import LIMIT, ChainLayout, fold_ends, lay_out


def viterbi(
    emissions: Float[Tensor, "batch time state"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, "*batch_or_shared state"] | None = None,
    end: Float[Tensor, "*batch_or_shared state"] | None = None,
) -> tuple[Int[Tensor, "batch time"], Float[Tensor, " batch"]]:
    """Most likely states, -1 where padded, and their score.

    Of equal paths the one with the lower state wins, from the last step backwards.

    Raises:
        DataError: E130 when shapes do not fit or a mask has a gap; E136 for a sequence without a possible path.
    """
    check_scores(emissions, transitions, mask, start, end)
    with torch.no_grad():
        layout = lay_out(emissions, transitions, mask, start, end)
        best = _best_scores(layout)
        top, state = layout.ends_of(best)[1].max(dim=1)
        refuse_impossible(_without_impossible(layout.by_sequence(top)))
        path = layout.by_sequence(_trace_back(layout, best, state).t())
    padding = layout.steps - path.shape[1]
    return torch.nn.functional.pad(path, (0, padding), value=-1), layout.by_sequence(top)


def n_best(
    emissions: Float[Tensor, "batch time state"],
    transitions: Float[Tensor, "*batch_or_none state state"],
    mask: Bool[Tensor, "batch time"] | None = None,
    start: Float[Tensor, "*batch_or_shared state"] | None = None,
    end: Float[Tensor, "*batch_or_shared state"] | None = None,
    *,
    count: int,
) -> tuple[Int[Tensor, "batch count time"], Float[Tensor, "batch count"]]:
    """The `count` most likely paths, best first, and their scores.

    Every state keeps its `count` best partial paths (the list Viterbi algorithm of Seshadri and Sundberg, 1994). Where
    a sequence has fewer possible paths, the rest are -1 with a score of minus infinity. The probability of a path is
    ``exp(score - log_partition(...))``.

    Raises:
        DataError: E130 when shapes do not fit, a mask has a gap, or `count` is less than one; E136 for a sequence
            without a possible path.
    """
    check_scores(emissions, transitions, mask, start, end)
    if count < 1:
        raise DataError("the number of paths is below one", code="E130", column="count", remedy="ask for at least one")
    with torch.no_grad():
        scores = _without_impossible(fold_ends(emissions, start, end, mask))
        matrix = _without_impossible(transitions if transitions.dim() == 3 else transitions[None])
        present = torch.ones(scores.shape[:2], dtype=torch.bool, device=scores.device) if mask is None else mask
        lists, origins = _best_lists(scores, matrix, present, count)
        top, place = _largest(lists.flatten(1), count)
        refuse_impossible(top[:, 0])
        places = [place]
        for origin in reversed(origins):
            places.append(torch.gather(origin.flatten(1), 1, places[-1]))
        states = torch.div(torch.stack(places[::-1], dim=2), count, rounding_mode="floor")
        paths = torch.where(present[:, None] & ~torch.isneginf(top)[..., None], states, -1)
    return paths, top


def _best_scores(layout: ChainLayout) -> Tensor:
    """Score of the best path to each state of each step (time, state, batch); rubbish in the padding."""
    best = layout.scores
    matrix = layout.matrix if layout.matrix.dim() == 3 else layout.matrix[:, :, None]
    states, batch = best.shape[1:]
    room = best.new_empty((states, states, batch))
    reached = best.new_empty((states, batch))
    for step in range(1, len(layout.counts)):
        here, before, running = best[step], best[step - 1], layout.counts[step]
        if running < batch:
            here, before = here[:, :running], before[:, :running]
        if running < room.shape[2]:
            room, reached, matrix = room[:, :, :running], reached[:, :running], matrix[:, :, :running]
        torch.add(before[:, None], matrix, out=room)
        torch.amax(room, 0, out=reached)
        here += reached
    return best


def _trace_back(layout: ChainLayout, best: Tensor, final: Tensor) -> Tensor:
    """States (time, batch) of the best paths that end in `final` (batch,), -1 in the padding."""
    path = torch.full((best.shape[0], best.shape[2]), -1, dtype=torch.int64, device=best.device)
    path[layout.last, torch.arange(best.shape[2], device=best.device)] = final
    arriving = layout.matrix.transpose(0, 1)  # (to, from), what leads to each state
    states = layout.matrix.shape[0]
    for step in range(len(layout.counts) - 1, 0, -1):
        running = layout.counts[step]
        state = path[step, :running]
        if arriving.dim() == 2:
            moves = torch.index_select(layout.matrix, 1, state)
        else:
            moves = torch.gather(arriving[:, :, :running], 0, state.expand(1, states, running))[0]
        path[step - 1, :running] = torch.argmax(moves.add_(best[step - 1, :, :running]), 0)
    return path


def _best_lists(scores: Tensor, matrix: Tensor, present: Tensor, count: int) -> tuple[Tensor, list[Tensor]]:
    """The best scores of each state at the end (batch, state, count), and where each entry of each step came from.

    An entry is numbered ``state * count + rank``; a padded step hands on what it got.
    """
    batch, _, states = scores.shape
    lists = torch.full((batch, states, count), -torch.inf, dtype=scores.dtype, device=scores.device)
    lists[:, :, 0] = scores[:, 0]
    stay = torch.arange(states * count, device=scores.device).reshape(1, states, count)
    origins: list[Tensor] = []
    for step, keep in zip(scores.unbind(1)[1:], present.unbind(1)[1:], strict=True):
        # (batch, to, from, rank), flattened over what it may come from
        reached = lists[:, None] + matrix.transpose(1, 2)[..., None]
        values, origin = _largest(reached.flatten(2), count)
        running = keep[:, None, None]
        lists = torch.where(running, values + step[..., None], lists)
        origins.append(torch.where(running, origin, stay))
    return lists, origins


def _largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The `count` largest along the last dimension and their places; of equal ones the first."""
    ordered, places = torch.sort(values, dim=-1, descending=True, stable=True)
    return ordered[..., :count], places[..., :count]


def _without_impossible(scores: Tensor) -> Tensor:
    """Impossible scores as minus infinity."""
    return scores.masked_fill(scores <= LIMIT, -torch.inf)
