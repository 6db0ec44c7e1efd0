"""Rounds of effects and variances with several grouping factors; `toolkit.models.estimate` has those with one.

Each round moves the effects of all factors together to their posterior mode (`toolkit.effects.joint`) and then takes
``em`` or ``paper`` steps of the variances, as `toolkit.effects.variance` describes them. What differs with several
factors: a level of one factor is not independent of the others, so that means, variances and the residual variance need
the joint posterior, and the information of the variances is the average information (Gilmour, Thompson and Cullis,
1995), which takes one solve a component instead of all pairs of levels.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad

from toolkit.effects import variance
from toolkit.effects.joint import JointPosterior, factors_of, joint_posterior
from toolkit.effects.joint_draws import LineEvidence
from toolkit.effects.posterior import MAX_HALVINGS, Posterior, bent_slopes, loss_curvature
from toolkit.effects.problem import Problem, ProblemParts
from toolkit.effects.random_effects import JointLayout
from toolkit.models.factor_state import FactorState

# Share of the information added to itself: keeps a step finite where the data say nothing about a variance.
DAMPING = 1e-3


def lines_of(problem: ProblemParts, etas: Sequence[Tensor]) -> Float[Tensor, "lines d"]:
    """Effects that meet in each line."""
    found = [piece.lines_of(*etas) for piece in problem.pieces()]
    return found[0] if len(found) == 1 else torch.cat(found)


def by_piece(
    problem: ProblemParts, lines: Float[Tensor, "lines d"], values: Callable[[Problem, Tensor], Tensor]
) -> Tensor:
    """Values of the lines, one piece of the rows after the other."""
    found, start = [], 0
    for piece in problem.pieces():
        found.append(values(piece, lines[start : start + len(piece.persons)]))
        start += len(piece.persons)
    return found[0] if len(found) == 1 else torch.cat(found)


def joint_layout(factors: Sequence[FactorState]) -> JointLayout:
    """Where the effects of a line belong."""
    return JointLayout(parts=tuple(factor.layout for factor in factors))


@torch.no_grad()
def line_curvature(
    problem: ProblemParts, shared: Mapping[str, Tensor], factors: Sequence[FactorState]
) -> Float[Tensor, "lines d d"]:
    """Curvature of each line's loss with respect to its effects."""
    lines, layout = lines_of(problem, [factor.eta.detach() for factor in factors]), joint_layout(factors)
    return by_piece(problem, lines, lambda piece, own: loss_curvature(piece, shared, layout, own))


def posterior_of_all(
    problem: ProblemParts, curvature: Float[Tensor, "lines d d"], factors: Sequence[FactorState], weight: float
) -> JointPosterior:
    """Joint posterior covariance at the current effects."""
    found = factors_of(problem, [factor.eta for factor in factors])
    return joint_posterior(found, curvature, [factor.covariance for factor in factors], weight)


def evidence_of(
    problem: ProblemParts, shared: Mapping[str, Tensor], factors: Sequence[FactorState], weight: float
) -> LineEvidence:
    """What the rows say about all effects at their mode; see `toolkit.effects.joint_draws`."""
    return LineEvidence(
        factors=factors_of(problem, [factor.eta for factor in factors]),
        curvature=line_curvature(problem, shared, factors),
        covariances=tuple(factor.covariance for factor in factors),
        weight=weight,
    )


def newton_step_of_all(
    problem: ProblemParts, shared: Mapping[str, Tensor], factors: Sequence[FactorState], weight: float
) -> tuple[JointPosterior, Float[Tensor, "lines d d"]]:
    """One Newton step of all effects together, in place, halved while the objective would rise.

    Returns:
        The posterior and the curvature of the lines at the old effects.
    """
    curvature = line_curvature(problem, shared, factors)
    at = posterior_of_all(problem, curvature, factors, weight)
    held, layout = {name: value.detach() for name, value in shared.items()}, joint_layout(factors)

    def losses(piece: Problem, lines: Tensor) -> Tensor:
        return piece.losses(held, layout, lines)

    def slope(piece: Problem, lines: Tensor) -> Tensor:
        return grad(lambda lines: losses(piece, lines).sum())(lines)

    start = [factor.eta.detach().clone() for factor in factors]
    slopes = _of_levels(problem, weight * by_piece(problem, lines_of(problem, start), slope), factors)
    pulled = [(slope + white)[..., None] for slope, white in zip(slopes, _whitened(factors, at), strict=True)]
    steps = at.covariance_times(pulled)

    def objective() -> float:
        with torch.no_grad():
            lines = lines_of(problem, [factor.eta for factor in factors])
            fitted = weight * by_piece(problem, lines, losses).sum()
            return float(fitted + sum(factor.penalty() for factor in factors))

    before = objective()
    for halving in range(MAX_HALVINGS + 1):
        for factor, eta, step in zip(factors, start, steps, strict=True):
            factor.eta.data.copy_(eta - 0.5**halving * step.squeeze(-1).to(eta))
        if objective() <= before + 1e-12 * abs(before):
            return at, curvature
    for factor, eta in zip(factors, start, strict=True):
        factor.eta.data.copy_(eta)
    return at, curvature


@torch.no_grad()
def means_from_modes(
    problem: ProblemParts,
    shared: Mapping[str, Tensor],
    factors: Sequence[FactorState],
    at: JointPosterior,
    weight: float,
) -> list[Tensor]:
    """What leads from the mode of all effects to their mean; see `toolkit.effects.posterior.mean_from_mode`."""
    held, layout = {name: value.detach() for name, value in shared.items()}, joint_layout(factors)
    lines = lines_of(problem, [factor.eta for factor in factors])
    values, vectors = torch.linalg.eigh(at.of_lines())
    roots = (vectors * values.clamp(min=0.0).sqrt()[:, None]).to(lines)

    def slope(lines: Tensor) -> Tensor:
        return by_piece(problem, lines, lambda piece, own: grad(lambda own: piece.losses(held, layout, own).sum())(own))

    bent = _of_levels(problem, bent_slopes(slope, lines, roots.unbind(dim=2)), factors)
    found = at.covariance_times([own[..., None] for own in bent])
    return [-0.5 * weight * own.squeeze(-1).to(lines) for own in found]


@torch.no_grad()
def em_step(
    shared: dict[str, Tensor],
    factors: Sequence[FactorState],
    at: JointPosterior,
    *,
    exact: bool,
) -> None:
    """Means of what varies into the shared parameters, and the variances with the posterior covariance added."""
    if exact:
        shift_means(shared, factors, at)
    else:
        recentre(shared, factors)
    of_levels = at.of_levels()
    scored = _scored(factors, at, of_levels) if exact else {}
    for place, factor in enumerate(factors):
        if place in scored:
            factor.set_covariance(torch.diag(scored[place]).to(factor.eta))
        else:
            expected = variance.expected_covariance(factor.eta, of_levels[place])
            factor.set_covariance(expected.to(factor.eta))


@torch.no_grad()
def paper_step(shared: dict[str, Tensor], factors: Sequence[FactorState]) -> None:
    """Sample covariance of each factor's effects about their mean, which moves into the shared parameters."""
    recentre(shared, factors)
    for factor in factors:
        factor.set_covariance(variance.sample_covariance(factor.eta))


@torch.no_grad()
def recentre(shared: dict[str, Tensor], factors: Sequence[FactorState]) -> None:
    """Move the mean of every factor's effects into the shared parameters: predictions stay."""
    for factor in factors:
        mean = factor.eta.mean(dim=0)
        factor.eta.sub_(mean)
        for name, value in factor.layout.unflatten(mean[None]).items():
            shared[name].add_(value[0])


def shift_means(shared: dict[str, Tensor], factors: Sequence[FactorState], at: JointPosterior) -> None:
    """Generalised least squares step of the shared values of what varies; see `toolkit.effects.variance.mean_shift`.

    A parameter that several factors vary has one mean; it is carried by the factor that varies the most parameters.
    """
    carried = _carriers(factors)
    chosen = _choosing(factors, carried)
    moved = at.information_times(chosen)
    information = _products(chosen, moved)
    score = _products(chosen, [white[..., None] for white in _whitened(factors, at)]).squeeze(-1)
    values, vectors = torch.linalg.eigh(0.5 * (information + information.T))
    # a constant added to all scores of a row changes no probability: without information the mean stays put
    informed = values > max(1e-8, 1e3 * torch.finfo(factors[0].eta.dtype).eps) * values[-1]
    inverse = torch.where(informed, 1.0 / torch.where(informed, values, 1.0), 0.0)
    delta = (vectors * inverse) @ (vectors.T @ score)
    parts = torch.split(delta, [len(places) for places in carried.values()])
    for (place, places), part in zip(carried.items(), parts, strict=True):
        factor = factors[place]
        own = torch.zeros(factor.layout.size, dtype=factor.eta.dtype, device=factor.eta.device)
        own[places] = part.to(own)
        for name, value in factor.layout.unflatten(own[None]).items():
            shared[name].add_(value[0])
    for factor, root, change in zip(factors, at.roots, moved, strict=True):
        factor.eta.sub_((root @ (root.T @ (change @ delta[:, None]))).squeeze(-1).to(factor.eta))


def _carriers(factors: Sequence[FactorState]) -> dict[int, list[int]]:
    """Which factor's coordinates stand for each parameter that varies, by factor."""
    order = sorted(range(len(factors)), key=lambda place: -len(factors[place].layout.names))
    taken: set[str] = set()
    carried: dict[int, list[int]] = {}
    for place in order:
        layout = factors[place].layout
        own = [coordinate for name in layout.names if name not in taken for coordinate in layout.coordinates(name)]
        taken |= set(layout.names)
        if own:
            carried[place] = own
    return carried


def _choosing(factors: Sequence[FactorState], carried: Mapping[int, list[int]]) -> list[Tensor]:
    """One vector of all effects per carried coordinate: ones at that coordinate of every level."""
    width = sum(len(places) for places in carried.values())
    found = [factor.eta.new_zeros((*factor.eta.shape, width), dtype=torch.float64) for factor in factors]
    columns = iter(range(width))
    for place, places in carried.items():
        for coordinate in places:
            found[place][:, coordinate, next(columns)] = 1.0
    return found


def _whitened(factors: Sequence[FactorState], at: JointPosterior) -> list[Tensor]:
    """``Sigma^-1 eta`` of every factor."""
    return [
        torch.cholesky_solve(factor.eta.detach().double().T, root).T
        for factor, root in zip(factors, at.roots, strict=True)
    ]


def _products(one: Sequence[Tensor], other: Sequence[Tensor]) -> Float[Tensor, "i j"]:
    """Inner products of vectors of all effects."""
    return torch.stack([torch.einsum("ldi,ldj->ij", a, b) for a, b in zip(one, other, strict=True)]).sum(dim=0)


def _scored(factors: Sequence[FactorState], at: JointPosterior, of_levels: Sequence[Tensor]) -> dict[int, Tensor]:
    """New variances of the factors with independent effects, by a scoring step on the log scale.

    The score is that of `toolkit.effects.variance.scored_variances`; the information is ``1/2 eta_c' M eta_d``, where
    ``eta_c`` holds the effects of component c and zeros elsewhere. At most a factor e a step.
    """
    diagonal = [place for place, factor in enumerate(factors) if factor.diagonal]
    if not diagonal:
        return {}
    sizes = [factors[place].layout.size for place in diagonal]
    alone = [factor.eta.new_zeros((*factor.eta.shape, sum(sizes)), dtype=torch.float64) for factor in factors]
    scores, column = [], 0
    for place, size in zip(diagonal, sizes, strict=True):
        factor, eta = factors[place], factors[place].eta.detach().double()
        variances = torch.diagonal(factor.covariance).double()
        explained = torch.diagonal(variance.marginal_information(factor.covariance, of_levels[place]), dim1=1, dim2=2)
        scores.append(0.5 * (torch.square(eta) / variances - variances * explained).sum(dim=0))
        for coordinate in range(size):
            alone[place][:, coordinate, column] = eta[:, coordinate]
            column += 1
    information = 0.5 * _products(alone, at.information_times(alone))
    score = torch.cat(scores)
    present = torch.cat([torch.diagonal(factors[place].covariance).double() for place in diagonal])
    free = variance.free_to_move(present, score)
    damped = information * free[:, None] * free + torch.diag(DAMPING * torch.diagonal(information) + 1e-9)
    steps = torch.linalg.solve(damped, score * free).clamp(-1.0, 1.0)
    return {
        place: torch.diagonal(factors[place].covariance).double() * torch.exp(step)
        for place, step in zip(diagonal, torch.split(steps, sizes), strict=True)
    }


def _of_levels(problem: ProblemParts, lines: Float[Tensor, "lines d"], factors: Sequence[FactorState]) -> list[Tensor]:
    """Values of the lines summed at their levels, in float64; lines without a level are dropped."""
    parts = torch.split(lines.double(), [factor.layout.size for factor in factors], dim=1)
    found = []
    for place, (factor, part) in enumerate(zip(factors, parts, strict=True)):
        codes = problem.codes(place)
        empty = part.new_zeros(factor.eta.shape)
        found.append(empty.index_add(0, codes[codes >= 0], part[codes >= 0]))
    return found


def posteriors(
    problem: ProblemParts, curvature: Float[Tensor, "lines d d"], factors: Sequence[FactorState], at: JointPosterior
) -> list[Posterior]:
    """Curvature and posterior covariance of every level, by factor."""
    start, found = 0, []
    for place, (factor, covariance) in enumerate(zip(factors, at.of_levels(), strict=True)):
        own = slice(start, start + factor.layout.size)
        start += factor.layout.size
        codes = problem.codes(place)
        block = curvature[:, own, own]
        summed = block.new_zeros(covariance.shape).index_add(0, codes[codes >= 0], block[codes >= 0])
        found.append(Posterior(curvature=summed, covariance=covariance))
    return found
