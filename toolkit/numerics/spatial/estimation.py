"""Maximum likelihood of one random field and a residual variance, from the residuals of the rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from toolkit.numerics.spatial.climbing import Evaluate, Lowest, lowest_deviance
from toolkit.numerics.spatial.exact import evaluate_exactly, profiled
from toolkit.numerics.spatial.fields import Covariance, ExactField, Field, NearbyField, ZeroField
from toolkit.numerics.spatial.fullscale import evaluate_full_scale, smooth_part
from toolkit.numerics.spatial.kernels import reach_of, squared_distances
from toolkit.numerics.spatial.layout import Layout, lay_out, layout_in
from toolkit.numerics.spatial.locations import PlaceSums
from toolkit.numerics.spatial.names import KernelName
from toolkit.numerics.spatial.trees import KDTree

# places up to which the likelihood is exact
EXACT = 2_500
# places up to which even the search for a start is exact
SMALL = 300
# numbers of inducing places tried, the largest share of variance they may leave, neighbours
INDUCING = (150, 300, 600)
LEFT = 1e-4
# what the most inducing places may leave before they are called useless
ROUGH = 0.5
NEIGHBOURS = 30
NEIGHBOURS_AT_FIRST = 10
# gains in deviance at which the search ends
ENOUGH = 1e-7
ENOUGH_APPROXIMATELY = 1e-4
# a variance over the residual's below which it is nothing, and above which it is everything
LEAST, MOST = 1e-8, 1e8
# what a field must gain in deviance to be more than nothing
GAIN = 1e-6
STARTS = 6
Watch = Callable[[int, float], None]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FieldFit:
    """A random field at its maximum likelihood.

    Attributes:
        covariance: its parameters.
        deviance: minus twice the log-likelihood.
        without: the same without a field.
        at_boundary: the variance is zero.
        range_at_boundary: the range is as short as places are apart, or as long as it may be.
        converged: whether a maximum was found.
        trace: deviance at every evaluation of the likelihood that counts.
        layout: order, inducing places and neighbours; None where the likelihood is exact.
        field: means and variances at any coordinates, from the level.
        level: mean of all places; 0 where it is not estimated.
    """

    covariance: Covariance
    deviance: float
    without: float
    at_boundary: bool
    range_at_boundary: bool
    converged: bool
    trace: tuple[float, ...]
    layout: Layout | None
    field: Field
    level: float = 0.0


def fit_field(
    places: Float[np.ndarray, "places axes"],
    sums: PlaceSums,
    kernel: KernelName,
    *,
    rng: np.random.Generator,
    begin: tuple[float, float] | None = None,
    level: bool = False,
) -> FieldFit:
    """Estimate variance and range of a field and the residual variance.

    Exact for up to 2,500 places; for more by inducing places and nearest neighbours.

    Args:
        places: unique coordinates.
        sums: of the residuals, in the order of the places.
        kernel: of the field.
        rng: orders places that are very many.
        begin: variance over the residual's, and range, to begin with.
        level: whether a mean of all places is estimated too.

    Raises:
        numpy.linalg.LinAlgError: numbers are not finite.
    """
    bounds = bounds_of(places, kernel)
    rough = _rough(places, sums, kernel, bounds, begin, rng, level=level)
    if len(places) <= EXACT:
        layout = None
        evaluate, enough = _exactly(places, sums, kernel, level), ENOUGH
    else:
        layout = choose_layout(places, kernel, rough.theta, rng=rng)
        evaluate, enough = _nearly(layout, sums, kernel, level), ENOUGH_APPROXIMATELY
    lowest = lowest_deviance(evaluate, rough.theta, bounds, enough=enough, curvature=rough.curvature)
    return _finished(places, sums, kernel, lowest, bounds, layout, level=level)


def field_at(
    places: Float[np.ndarray, "places axes"],
    sums: PlaceSums,
    kernel: KernelName,
    theta: Float[np.ndarray, " theta"],
    *,
    rng: np.random.Generator,
    level: bool = False,
) -> FieldFit:
    """The field at a given log gamma and log range, the residual variance at its best; arguments as in `fit_field`."""
    bounds = bounds_of(places, kernel)
    theta = np.clip(theta, *bounds)
    layout = None if len(places) <= EXACT else choose_layout(places, kernel, theta, rng=rng)
    evaluate = _exactly(places, sums, kernel, level) if layout is None else _nearly(layout, sums, kernel, level)
    now = evaluate(theta)
    lowest = Lowest(theta=theta, evaluation=now, curvature=np.eye(2), trace=(now.deviance,), converged=False)
    return _finished(places, sums, kernel, lowest, bounds, layout, level=level)


def _finished(
    places: np.ndarray, sums: PlaceSums, kernel: KernelName, lowest: Lowest,
    bounds: tuple[np.ndarray, np.ndarray], layout: Layout | None, *, level: bool,
) -> FieldFit:  # fmt: skip
    """The field at the maximum, or none where it gains nothing."""
    plain = float(sums.counts @ sums.means) / sums.rows if level else 0.0
    own, sums = lowest.evaluation.level, sums.less(plain)
    sigma2, without = profiled(sums, float((sums.counts * sums.means**2).sum()), -float(np.log(sums.counts).sum()))
    nothing = without - lowest.evaluation.deviance < GAIN or bool(lowest.theta[0] <= bounds[0][0])
    gamma, reach = (math.exp(value) for value in lowest.theta)
    if not nothing:
        sigma2 = lowest.evaluation.sigma2
    covariance = Covariance(kernel=kernel, variance=0.0 if nothing else gamma * sigma2, reach=reach, sigma2=sigma2)
    return FieldFit(
        covariance=covariance,
        deviance=without if nothing else lowest.evaluation.deviance,
        without=without,
        at_boundary=nothing,
        range_at_boundary=not nothing and bool((lowest.theta[1] <= bounds[0][1]) | (lowest.theta[1] >= bounds[1][1])),
        converged=lowest.converged or nothing,
        trace=lowest.trace,
        layout=layout,
        field=field_of(places, sums.less(own - plain), covariance, layout),
        level=plain if nothing else own,
    )


def field_of(places: np.ndarray, sums: PlaceSums, covariance: Covariance, layout: Layout | None) -> Field:
    """The field given the residuals' sums, which stand in the order of the places."""
    if covariance.variance <= 0:
        return ZeroField()
    if layout is None:
        return ExactField(places, sums, covariance)
    return NearbyField(layout, sums.taken(layout.order), covariance)


def choose_layout(
    places: Float[np.ndarray, "places axes"], kernel: KernelName, theta: np.ndarray, *, rng: np.random.Generator
) -> Layout:
    """As many inducing places as the smooth part needs; few where it is too rough for any affordable number."""
    layout = lay_out(places, inducing=INDUCING[-1], neighbours=NEIGHBOURS, rng=rng)
    some = layout.places[-1_000:]
    count, left = 0, 1.0
    for count in INDUCING:
        loadings = smooth_part(some, layout.places[:count], kernel, np.array([0.0, theta[1]])).loadings
        left = 1.0 - float((loadings**2).sum(axis=1).mean())
        if left < LEFT:
            break
    if left > ROUGH:
        count = INDUCING[0]
    return layout_in(places, layout.order, inducing=count, neighbours=NEIGHBOURS)


def _exactly(places: np.ndarray, sums: PlaceSums, kernel: KernelName, level: bool) -> Evaluate:
    squared = squared_distances(places, places)
    return lambda theta: evaluate_exactly(sums, squared, kernel, theta, level=level)


def _nearly(layout: Layout, sums: PlaceSums, kernel: KernelName, level: bool) -> Evaluate:
    ordered = sums.taken(layout.order)
    return lambda theta: evaluate_full_scale(layout, ordered, kernel, theta, level=level)


def bounds_of(places: np.ndarray, kernel: KernelName) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest log gamma and log range: from a tenth of the usual spacing to ten diameters."""
    spacing, diameter = _extent(places)
    low, high = (math.log(reach_of(kernel, length)) for length in (0.1 * spacing, 10.0 * diameter))
    return np.array([math.log(LEAST), low]), np.array([math.log(MOST), high])


def _extent(places: np.ndarray) -> tuple[float, float]:
    """Median distance to the nearest place, and the diagonal of the box around all."""
    distance, _ = KDTree(places).query(places, k=2)
    return float(np.median(distance[:, 1])), float(np.linalg.norm(np.ptp(places, axis=0)))


def _rough(
    places: np.ndarray, sums: PlaceSums, kernel: KernelName, bounds: tuple[np.ndarray, np.ndarray],
    begin: tuple[float, float] | None, rng: np.random.Generator, *, level: bool,
) -> Lowest:  # fmt: skip
    """The maximum of a cheap likelihood, from the best of some ranges."""
    if len(places) <= SMALL:
        evaluate = _exactly(places, sums, kernel, level)
    else:
        evaluate = _nearly(lay_out(places, inducing=0, neighbours=NEIGHBOURS_AT_FIRST, rng=rng), sums, kernel, level)
    spacing, diameter = _extent(places)
    gamma = _gamma_by_moments(sums)
    lengths = np.geomspace(spacing, 0.5 * diameter, STARTS)
    starts = [np.log([gamma, reach_of(kernel, float(length))]) for length in lengths]
    if begin is not None:
        starts.append(np.clip(np.log(np.maximum(begin, 1e-300)), *bounds))
    best = min(starts, key=lambda theta: evaluate(theta).deviance)
    return lowest_deviance(evaluate, best, bounds, enough=0.01)


def _gamma_by_moments(sums: PlaceSums) -> float:
    """The variance of the means beyond their noise, over the residual variance."""
    degrees = sums.rows - len(sums.counts)
    total = float((sums.counts * sums.means**2).sum()) / sums.rows
    sigma2 = sums.within / degrees if degrees > 0.1 * sums.rows and sums.within > 0 else 0.5 * total
    beyond = float((sums.means**2).mean()) - sigma2 * float((1.0 / sums.counts).mean())
    return min(max(beyond / sigma2, 1e-2), 1e4)
