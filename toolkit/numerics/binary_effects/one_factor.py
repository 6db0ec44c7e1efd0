"""Maximum likelihood of a logistic model with one random effect a level and fixed effects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.binary_effects.ascent import STEPS, ascend, proper, second_derivative
from toolkit.numerics.binary_effects.level_rows import LevelRows
from toolkit.numerics.binary_effects.logistic import logistic_regression
from toolkit.numerics.binary_effects.modes import find_modes
from toolkit.numerics.binary_effects.quadrature import Evaluation, evaluate

# the SD to start from, and by how much it is changed to see how the slope falls
BEGIN = 1.0
CHANGE = 1e-4
# gain at which Laplace's approximation hands over to more nodes
ROUGH = 1e-2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fitted:
    """The maximum of the likelihood.

    Attributes:
        value: log-likelihood.
        beta: fixed effects.
        theta: SD of the effects; zero at the boundary.
        information: minus the second derivative by theta, then beta.
        evaluation: everything at the maximum.
        trace: log-likelihood after every step.
        converged: whether the maximum was found.
    """

    value: float
    beta: Float[np.ndarray, " p"]
    theta: float
    information: Float[np.ndarray, "size size"] | None
    evaluation: Evaluation
    trace: tuple[float, ...]
    converged: bool


class _Likelihood:
    """The log-likelihood as a function of theta and beta; remembers the modes."""

    def __init__(self, rows: LevelRows, offset: np.ndarray, fixed: np.ndarray, nodes: int) -> None:
        self.rows, self.offset, self.fixed, self.nodes = rows, offset, fixed, nodes
        self.mode: np.ndarray | None = None

    def at(self, place: np.ndarray) -> Evaluation:
        logits = self.offset + self.fixed @ place[1:]
        found = evaluate(self.rows, logits, float(place[0]), nodes=self.nodes, begin=self.mode)
        self.mode = found.mode
        return found

    def __call__(self, place: np.ndarray) -> tuple[float, np.ndarray]:
        found = self.at(place)
        return found.value, np.append(found.by_theta, found.by_logit @ self.fixed)


def maximise(
    rows: LevelRows,
    offset: Float[np.ndarray, " rows"],
    fixed: Float[np.ndarray, "rows p"],
    *,
    nodes: int,
    begin: tuple[float, np.ndarray] | None = None,
    curvature: bool = False,
    search: bool = True,
    watch: Callable[[float], None] | None = None,
) -> Fitted:
    """Maximum likelihood of SD and fixed effects.

    The likelihood is the same for an SD and its negative, smooth in between: a maximum at zero is found like any other.

    Args:
        rows: sorted by level.
        offset: part of the logits that is held, in the caller's order.
        fixed: columns of the fixed effects; a column of ones lets the level of the offset move.
        nodes: of the quadrature.
        begin: SD and fixed effects to start from.
        curvature: whether the second derivative at the maximum is wanted.
        search: False stays where it begins.
        watch: called with the log-likelihood after every step.
    """
    theta, beta = begin or (BEGIN, logistic_regression(rows.unsorted(rows.target), offset, fixed))
    place, trace = np.append(theta, beta), tuple[float, ...]()
    if nodes > 1 and search:
        rough = _Likelihood(rows, offset, fixed, 1)
        peak = ascend(rough, place, _information(rough, place), enough=ROUGH, watch=watch)
        place, trace = peak.place, peak.trace
    likelihood = _Likelihood(rows, offset, fixed, nodes)
    most = STEPS if search else 0
    peak = ascend(likelihood, place, _information(likelihood, place), steps=most, watch=watch)
    information = None
    if curvature:
        information = second_derivative(likelihood, peak.place, _information(likelihood, peak.place))
    found = likelihood.at(peak.place)
    return Fitted(
        value=found.value, beta=peak.place[1:], theta=abs(float(peak.place[0])), information=information,
        evaluation=found, trace=trace + peak.trace, converged=peak.converged,
    )  # fmt: skip


def _information(likelihood: _Likelihood, place: np.ndarray) -> np.ndarray:
    """Minus the second derivative nearly: by beta as if the posteriors were normal, by theta from two slopes."""
    rows, theta = likelihood.rows, float(place[0])
    logits = rows.sorted(likelihood.offset + likelihood.fixed @ place[1:])
    modes = find_modes(rows, logits, theta, likelihood.mode)
    weight = modes.probability * (1.0 - modes.probability)
    fixed = rows.sorted(likelihood.fixed)
    found = np.empty((len(place), len(place)))
    along = np.column_stack([rows.design_sums(weight * column) for column in fixed.T]) if fixed.shape[1] else None
    if along is not None:
        lost = (along * (theta**2 / modes.curvature)[:, None]).T @ along
        found[1:, 1:] = (fixed * weight[:, None]).T @ fixed - lost
    step = CHANGE * max(abs(theta), 0.1)
    slopes = [likelihood(place + np.append(sign * step, np.zeros(len(place) - 1)))[1] for sign in (-1.0, 1.0)]
    found[0] = found[:, 0] = (slopes[0] - slopes[1]) / (2.0 * step)
    return proper(found)
