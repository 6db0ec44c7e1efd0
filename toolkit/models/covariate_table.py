"""How covariates shift the transitions: estimates with standard errors and intervals, as a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from scipy.stats import norm
from torch import Tensor
from torch.autograd.functional import jacobian

from toolkit.data.grouped import GroupedDataset
from toolkit.effects.marginal_information import Information, marginal_information
from toolkit.effects.terms import SLOPES, TRANSITIONS, layer_names, layer_of
from toolkit.errors import ConfigError
from toolkit.models.chain_covariates import Covariates
from toolkit.models.fitted import FittedNetwork
from toolkit.models.joint_adaptation import speaking_rows
from toolkit.models.nme_crf import NmeCrf
from toolkit.models.training import Trained

COLUMNS = {"covariate": "string", "meaning": "string", "from_state": "string", "to_state": "string"} | {
    name: "float64" for name in ("estimate", "se", "low", "high", "pvalue", "probability", "probability_shifted")
}
# of the matrix whose largest eigenvector is wanted: its 4096th power
SQUARINGS = 12


def covariate_table(trained: Trained, data: GroupedDataset, labels: np.ndarray, level: float = 0.95) -> pd.DataFrame:
    """Shifts of the log-odds of every transition per unit of each covariate, with Wald intervals by the delta method.

    ``G_k`` itself is hardly determined: a constant on all cells changes nothing, and ``u_i - u_j`` on cell (i, j) only
    what happens at the two ends of a sequence. What the data determine is how the chain runs in between. With emission
    scores of zero its transition probabilities there are

        P_ij = exp(T_ij) h_j / (lambda h_i),    exp(T) h = lambda h,

    the same for all such changes. ``estimate`` is the difference of ``log P_ij`` between the covariate's values 1 and 0
    (half a standard deviation above and below the mean for a standardised one), the other covariates at 0, less the
    mean of its row over the transitions that can occur: a difference of log-odds against the average move out of i.
    ``probability`` and ``probability_shifted`` are ``P_ij`` at the two values.

    Standard errors come from the marginal information about the last layer, T, G and the ends, with the effects
    integrated out (`toolkit.effects.marginal_information`) at the estimated variances and hidden layers. They are
    missing where the data do not determine a shift, where a row has one transition only, and for models whose objective
    is no likelihood (``unregularised``, ``weighting="as_published"``). A model without person effects takes the rows of
    a person for independent given the states: where persons differ, its intervals are too short.

    Args:
        trained: a chain with transition covariates.
        data: its data.
        labels: part of each row; ``train`` rows were fitted.
        level: of the intervals.
    """
    network = trained.network
    assert network.covariates is not None
    allowed, covariates = _allowed(network), network.covariates
    estimate, before, after, error = _shifts(trained, data, labels, allowed)
    reach = norm.ppf(0.5 + level / 2) * error
    with np.errstate(divide="ignore", invalid="ignore"):
        pvalue = 2.0 * norm.sf(np.abs(estimate) / error)
    count, size = len(covariates.names), allowed.shape[0]
    states = np.array(network.classes, dtype=object)
    frame = pd.DataFrame(
        {
            "covariate": np.repeat(np.array(covariates.names, dtype=object), size * size),
            "meaning": np.repeat(np.array(meanings(covariates), dtype=object), size * size),
            "from_state": np.tile(np.repeat(states, size), count),
            "to_state": np.tile(states, size * count),
            "estimate": estimate,
            "se": error,
            "low": estimate - reach,
            "high": estimate + reach,
            "pvalue": pvalue,
            "probability": before,
            "probability_shifted": after,
        }
    )
    return frame[np.tile(allowed.ravel(), count)].reset_index(drop=True).astype(COLUMNS)


def meanings(covariates: Covariates) -> list[str]:
    """What a unit of each covariate is, in words."""
    found = []
    for centre, scale, words in zip(covariates.centre, covariates.scale, covariates.labels, strict=True):
        if words:
            found.append(f"{words[1]} against {words[0]}")
        elif centre == 0.0 and scale == 1.0:
            found.append("1 against 0")
        else:
            found.append(f"per standard deviation ({scale:.4g}), centred at {centre:.4g}")
    return found


def _allowed(network: FittedNetwork) -> Bool[np.ndarray, "S S"]:
    """Transitions that can occur."""
    size = len(network.classes or ())
    return np.ones((size, size), dtype=bool) if network.forbidden is None else ~network.forbidden


def long_run(scores: Float[Tensor, "*some S S"]) -> Float[Tensor, "*some S S"]:
    """Log of the transition probabilities inside a long chain with emission scores of zero; see `covariate_table`.

    ``h`` by repeated squaring of ``exp(T) + lambda I``, which has the same eigenvectors and no period. Differentiable.
    """
    weights = torch.exp(scores - scores.amax(dim=(-2, -1), keepdim=True))
    identity = torch.eye(scores.shape[-1], dtype=scores.dtype, device=scores.device)
    power = weights + weights.sum(dim=-1).amax(dim=-1)[..., None, None] * identity
    for _ in range(SQUARINGS):
        power = power @ power
        power = power / power.amax(dim=(-2, -1), keepdim=True)
    tendency = torch.log(power.sum(dim=-1))
    return torch.log_softmax(scores + tendency[..., None, :], dim=-1)


def _shifts(
    trained: Trained, data: GroupedDataset, labels: np.ndarray, allowed: Bool[np.ndarray, "S S"]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Estimates, probabilities at the two values, and standard errors, each flattened over covariates and cells."""
    network = trained.network
    assert network.covariates is not None
    transitions, slopes = (network.shared[name].detach().double().cpu() for name in (TRANSITIONS, SLOPES))
    possible = torch.as_tensor(allowed)
    plain = (network.covariates.centre == 0.0) & (network.covariates.scale == 1.0)
    low = torch.as_tensor(np.where(plain, 0.0, -0.5))[:, None, None]

    def at(shift: Tensor, given: Tensor, moved: Tensor) -> Tensor:
        return long_run(torch.where(possible, given + shift * moved, -torch.inf))

    def centred(given: Tensor, moved: Tensor) -> Tensor:
        ends = (torch.where(possible, at(shift, given, moved), 0.0) for shift in (low, low + 1.0))
        before, after = ends
        change = after - before
        mean = change.sum(dim=-1, keepdim=True) / possible.sum(dim=-1, keepdim=True)
        return torch.where(possible, change - mean, 0.0).reshape(-1)

    found = centred(transitions, slopes).numpy()
    before, after = (torch.exp(at(shift, transitions, slopes)).reshape(-1).numpy() for shift in (low, low + 1.0))
    of_transitions, of_slopes = jacobian(centred, (transitions, slopes), vectorize=True)
    slopes_of = {TRANSITIONS: of_transitions.flatten(1), SLOPES: of_slopes.flatten(1)}
    return found, before, after, _standard_errors(trained, data, labels, slopes_of)


def _standard_errors(
    trained: Trained, data: GroupedDataset, labels: np.ndarray, derivative: dict[str, Tensor]
) -> Float[np.ndarray, " shifts"]:
    """Delta method: ``sqrt(J C J')``; NaN for what the data do not determine."""
    rows = derivative[SLOPES]
    if not _is_likelihood(trained.network.config):
        return np.full(len(rows), np.nan)
    information = chain_information(trained, data, labels)
    covariance, missing = (part.cpu() for part in information.inverse())
    whole = rows.new_zeros((len(rows), len(covariance)))
    for name, part in derivative.items():
        whole[:, information.place(name)] = part
    variance = torch.einsum("ij,jk,ik->i", whole, covariance, whole).numpy()
    length = torch.linalg.vector_norm(whole, dim=1).numpy()
    loose = (whole @ missing).abs().amax(dim=1).numpy() if missing.shape[1] else np.zeros(len(rows))
    determined = (length > 1e-12) & (loose <= 1e-6 * np.maximum(length, 1e-12))
    return np.where(determined, np.sqrt(np.maximum(variance, 0.0)), np.nan)


def _is_likelihood(config: object) -> bool:
    """Whether the objective has information about the shared parameters."""
    return (not isinstance(config, NmeCrf) or config.weighting == "once") and _rule_of(config) != "unregularised"


def _rule_of(config: object) -> str:
    """How the variances are updated: ``unregularised`` where persons have parameters without a prior."""
    given = getattr(config, "variance_update", None)
    return str(given) if given is not None else ("unregularised" if getattr(config, "effects", None) else "none")


def chain_information(trained: Trained, data: GroupedDataset, labels: np.ndarray) -> Information:
    """Marginal information about the last layer, T, G and the ends of a chain, from its training rows."""
    network = trained.network
    train = speaking_rows(network, data, labels, network.all_codes(data))
    layers = layer_names([name for name in network.shared if name not in (TRANSITIONS, SLOPES, "start", "end")])
    last = [name for name in network.shared if "." in name and layer_of(name) == layers[-1]]
    effects = (network.effects, *(factor.effects for factor in network.further))
    names = [*last, TRANSITIONS, SLOPES, "start", "end"]
    return marginal_information(train, network.shared, effects, names)


def shared_information(trained: Trained, data: GroupedDataset, labels: np.ndarray) -> Information:
    """The same, to draw shared parameters from.

    Biases of the last layer and columns of T can stand in for each other but for the first rows of sequences. The data
    say next to nothing of what one has and the other lacks: predictions and expected transitions hardly depend on it,
    but T by itself does.

    Raises:
        ConfigError: E302 for several grouping factors, or a model whose objective is no likelihood.
    """
    if trained.network.further or not _is_likelihood(trained.network.config):
        raise ConfigError(
            "fitted_to: shared parameters can be drawn for one grouping factor and a model fitted by its likelihood",
            code="E302",
            column="fitted_to",
            remedy="leave it out",
        )
    return chain_information(trained, data, labels)
