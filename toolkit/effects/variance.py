"""Updates of the variances between epochs.

``paper``: ``sigma2`` is the mean training loss and ``Sigma`` the sample covariance of the person parameters
(Woertwein et al., 2023, section 4.1). Point estimates vary less than the effects they estimate, so this is biased low
and can collapse to zero.

``em`` adds what is not known about each person, the posterior covariance ``C_i`` of the effects (Dempster, Laird and
Rubin, 1977):

    Sigma  = mean_i (eta_i eta_i' + C_i),
    sigma2 = mean over rows of (y - f)^2 + g' C_i g,   g = gradient of f with respect to eta_i   (Gaussian outcomes
    only),

whose fixed point is the maximum likelihood estimate of the linear mixed model. For other outcomes the steps take the
``shift`` of `toolkit.effects.skewness`, and end at the maximum of the Laplace approximation of the likelihood.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from toolkit.numerics.covariance import VARIANCE_FLOOR, Covariance

DAMPING = 1e-2


def sample_covariance(eta: Float[Tensor, "persons d"]) -> Float[Tensor, "d d"]:
    """Unbiased sample covariance of the person parameters (the ``paper`` update)."""
    centred = eta - eta.mean(dim=0)
    return centred.T @ centred / max(eta.shape[0] - 1, 1)


def sample_variances(eta: Float[Tensor, "persons d"]) -> Float[Tensor, " d"]:
    """The diagonal of `sample_covariance`, for very many effects."""
    centred = eta - eta.mean(dim=0)
    return centred.square().sum(dim=0) / max(eta.shape[0] - 1, 1)


def annealed_covariance(before: Covariance, eta: Float[Tensor, "persons d"], alpha: float) -> Covariance:
    """Sample covariance whose variances fall by no more than the factor ``alpha`` a step (``paper_annealed``).

    As in the released code of Woertwein et al. (2023), which takes it from saemix but never ends it:
    ``v_d := max(alpha v_d, var_d)`` for every coordinate; covariances are those of the sample.
    """
    if before.dim() == 1:
        return torch.maximum(alpha * before, sample_variances(eta))
    sample = sample_covariance(eta)
    variances = torch.maximum(alpha * torch.diagonal(before), torch.diagonal(sample))
    return sample - torch.diag(torch.diagonal(sample)) + torch.diag(variances)


def expected_covariance(
    eta: Float[Tensor, "persons d"], posterior: Float[Tensor, "persons d d"] | Float[Tensor, "persons d"]
) -> Covariance:
    """Expected second moment of the person effects (the ``em`` update); of very many effects its diagonal."""
    wide = eta.to(posterior)
    if posterior.dim() == 2:
        return wide.square().mean(dim=0) + posterior.mean(dim=0)
    return wide.T @ wide / eta.shape[0] + posterior.mean(dim=0)


def evidence_variances(
    prior: Float[Tensor, " d"], eta: Float[Tensor, "persons d"], posterior: Float[Tensor, "persons d"]
) -> Float[Tensor, " d"]:
    """Variances of very many effects: ``sum_i eta_i^2 / sum_i (1 - C_i / v)``, at most a factor e a step.

    The share ``1 - C_i / v`` is how far person i's data determine an effect (MacKay, 1992). It stands still where EM
    does, which would take thousands of steps to get there from variances that say nothing.
    """
    prior = prior.to(posterior)
    determined = (1.0 - posterior / prior).sum(dim=0)
    # the damping, a hundredth of a person, keeps a variance that the data say nothing about where it is
    ratio = (eta.to(posterior).square().sum(dim=0) / prior + DAMPING) / (determined + DAMPING)
    return prior * torch.exp(ratio.log().clamp(-1.0, 1.0))


def expected_loss(
    loss: Float[Tensor, ""], curvature: Float[Tensor, "persons d d"], posterior: Float[Tensor, "persons d d"]
) -> Float[Tensor, ""]:
    """Expected sum of losses under the posterior, to second order; exact for squared errors.

    Args:
        loss: sum of losses at the current effects.
        curvature: second derivative of each person's loss; of squared errors ``2 sum g g'``.
        posterior: posterior covariances of the effects.
    """
    return loss + 0.5 * (curvature * posterior).sum()  # sum of traces: both are symmetric


def mean_reliability(covariance: Float[Tensor, "d d"], posterior: Float[Tensor, "persons d d"]) -> Float[Tensor, " d"]:
    """Mean over persons of ``1 - Var(eta_i | data) / Var(eta)`` per coordinate."""
    prior = torch.diagonal(covariance)
    return (1.0 - torch.diagonal(posterior, dim1=1, dim2=2) / prior).mean(dim=0)


def scored_variances(
    prior: Float[Tensor, " d"],
    eta: Float[Tensor, "persons d"],
    posterior: Float[Tensor, "persons d d"],
    shift: Float[Tensor, "persons d"] | None = None,
) -> Float[Tensor, " d"]:
    """Independent variances by Fisher scoring on the log scale: the ``em`` fixed point in a few steps.

    With ``M_i = Sigma^-1 - Sigma^-1 C_i Sigma^-1`` (which is ``Z_i' V_i^-1 Z_i`` in a linear mixed model)

        score_d = 1/2 sum_i (eta_id^2 / v_d - v_d M_i,dd),     information_de = 1/2 sum_i v_d v_e M_i,de^2,

    and ``log v += information^-1 score``, at most a factor e a step. The score is zero exactly where ``v = mean_i
    (eta_i^2 + C_i)``, the EM update, stands still; EM itself crawls towards variances that are zero and along
    parameters that can stand in for each other. With a ``shift`` s, ``eta_id^2`` becomes ``eta_id^2 - 2 s_id eta_id``.
    """
    prior, eta = prior.to(posterior), eta.to(posterior)
    squares = torch.square(eta) if shift is None else eta * (eta - 2.0 * shift)
    root = torch.sqrt(prior)
    explained = marginal_information(torch.diag(prior), posterior) * root[:, None] * root  # v_d^(1/2) M_i,de v_e^(1/2)
    score = 0.5 * (squares / prior - torch.diagonal(explained, dim1=1, dim2=2)).sum(dim=0)
    information = 0.5 * torch.square(explained).sum(dim=0)
    size = torch.diagonal(information)
    free = free_to_move(prior, score)
    # the damping keeps the step finite where the data say nothing about a variance
    damped = information * free[:, None] * free + torch.diag(1e-3 * size + 1e-9)
    step = torch.linalg.solve(damped, score * free)
    return prior * torch.exp(step.clamp(-1.0, 1.0))


def free_to_move(prior: Float[Tensor, " d"], score: Float[Tensor, " d"]) -> Bool[Tensor, " d"]:
    """Variances that are not held at the floor: the step of the others must not count on them to fall further."""
    return (prior > 1.001 * VARIANCE_FLOOR) | (score > 0)


def scored_covariance(
    prior: Float[Tensor, "d d"],
    eta: Float[Tensor, "persons d"],
    posterior: Float[Tensor, "persons d d"],
    shift: Float[Tensor, "persons d"] | None = None,
) -> Float[Tensor, "d d"]:
    """A covariance with all correlations by Fisher scoring: `scored_variances` for matrices.

    With ``Sigma = L L'`` (L from eigenvectors), ``A_i = L' M_i L`` and second moments ``E_i`` of the effects, the step
    D solves

        (sum_i A_i x A_i) vec(D) = vec(sum_i L^-1 E_i L^-T - I),      Sigma := L exp(D) L',

    with eigenvalues of D between -1 and 1. The right-hand side is zero where ``Sigma = mean_i E_i``.
    """
    prior, eta = prior.to(posterior), eta.to(posterior)
    size, identity = prior.shape[0], torch.eye(prior.shape[0], dtype=posterior.dtype, device=posterior.device)
    variances, directions = torch.linalg.eigh(prior)
    variances = variances.clamp(min=VARIANCE_FLOOR)
    lower, inverse = directions * torch.sqrt(variances), (directions / torch.sqrt(variances)).T
    white, explained = eta @ inverse.T, identity - inverse @ posterior @ inverse.T
    moved = white if shift is None else white - 2.0 * shift @ inverse.T
    score = 0.5 * (moved.T @ white + white.T @ moved) - explained.sum(dim=0)
    information = torch.einsum("iac,ibd->abcd", explained, explained).reshape(size**2, size**2)
    held = torch.diag(~free_to_move(variances, torch.diagonal(score)))
    free = (~held).reshape(-1)
    damped = information * free[:, None] * free + torch.diag(1e-3 * torch.diagonal(information) + 1e-9)
    step = torch.linalg.solve(damped, score.reshape(-1) * free).reshape(size, size)
    values, vectors = torch.linalg.eigh(0.5 * (step + step.T))
    return lower @ (vectors * torch.exp(values.clamp(-1.0, 1.0))) @ vectors.T @ lower.T


def marginal_information(
    covariance: Float[Tensor, "d d"], posterior: Float[Tensor, "persons d d"]
) -> Float[Tensor, "persons d d"]:
    """``M_i = Sigma^-1 - Sigma^-1 C_i Sigma^-1``: what person i's data say about the mean of the person parameters.

    In a linear mixed model this is ``Z_i' V_i^-1 Z_i`` (Woodbury).
    """
    precision = torch.cholesky_inverse(torch.linalg.cholesky(covariance.to(posterior)))
    return precision - precision @ posterior @ precision


def mean_shift(
    covariance: Float[Tensor, "d d"],
    eta: Float[Tensor, "persons d"],
    posterior: Float[Tensor, "persons d d"],
    shift: Float[Tensor, "persons d"] | None = None,
) -> tuple[Float[Tensor, " d"], Float[Tensor, "persons d"]]:
    """Generalised least squares step of the shared values of the parameters that vary, and the effects after it.

    At the posterior mode the marginal log-likelihood has gradient ``sum_i Sigma^-1 eta_i`` (``eta_i - s_i`` with a
    ``shift``) and information ``sum_i
    M_i`` with respect to the mean of the person parameters; after a shift by ``delta`` the modes move by ``-Sigma M_i
    delta``. Moving the plain mean of the effects instead (as EM does) gets there too, but slowly where single persons
    say little.
    """
    covariance, wide = covariance.to(posterior), eta.to(posterior)
    information = marginal_information(covariance, posterior)
    total = information.sum(dim=0)
    mean = wide if shift is None else wide - shift
    score = torch.cholesky_solve(mean.sum(dim=0)[:, None], torch.linalg.cholesky(covariance))
    values, vectors = torch.linalg.eigh(total)
    # a constant added to all scores of a row changes no probability: without information the mean stays put
    informed = values > max(1e-8, 1e3 * torch.finfo(eta.dtype).eps) * values[-1]
    inverse = torch.where(informed, 1.0 / torch.where(informed, values, 1.0), 0.0)
    delta = (vectors * inverse @ vectors.T @ score).squeeze(-1)
    moved = wide - (covariance @ information @ delta[:, None]).squeeze(-1)
    return delta.to(eta), moved.to(eta)
