"""A spatial effect by the likelihood of all training rows, once the network is trained: alone, or beside factors."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from toolkit.errors import ToolkitWarning
from toolkit.models.place_fields import EmbeddedField, PlaceField, field_from
from toolkit.models.spatial_settings import Kernel
from toolkit.numerics.mixed.design import Design
from toolkit.numerics.spatial.basis import fit_basis
from toolkit.numerics.spatial.beside import FieldMoments, FieldSolution, field_moments, solve_with_field
from toolkit.numerics.spatial.beside_estimation import (
    NONE,
    FieldMaximum,
    carried_field,
    maximise_with_field,
)
from toolkit.numerics.spatial.beside_slopes import inverse_of, spherical_parts
from toolkit.numerics.spatial.carriers import FixedCarrier, KernelCarrier, kernel_carrier
from toolkit.numerics.spatial.estimation import NEIGHBOURS, bounds_of, field_at, fit_field
from toolkit.numerics.spatial.locations import PlaceSums, place_sums

# a share of the field's variance that inducing places leave out which is worth a warning
LEFT_OUT = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Begin:
    """Where mini-batches led, in SDs of the target: the field's variance and range, the residual variance."""

    variance: float
    reach: float
    sigma2: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Polished:
    """A spatial effect by the likelihood of all rows.

    Attributes:
        field: the effect.
        deviance: minus twice the log-likelihood, in SDs of the target.
        parameters: how many were estimated, the residual variance among them.
        trace: deviances.
        converged: whether the maximum was found.
        level: what is added to the network's output.
        moments, maximum: with grouping factors, cross products and solution.
    """

    field: PlaceField
    deviance: float
    parameters: int
    trace: tuple[float, ...]
    converged: bool
    level: float = 0.0
    moments: FieldMoments | None = None
    maximum: FieldMaximum | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Site:
    """Training places and what an effect over them is called.

    Attributes:
        term: name of the effect.
        names: columns of the coordinates.
        places: coordinates, in the order of the effects.
        codes: place of each training row.
        kernel: of the field.
        embedding: arrays of the embedding, if there is one.
    """

    term: str
    names: tuple[str, ...]
    places: Float[np.ndarray, "places axes"]
    codes: Int[np.ndarray, " rows"]
    kernel: Kernel
    embedding: Mapping[str, np.ndarray]

    def field(
        self, kind: str, variance: float, reach: float, sigma2: float, arrays: Mapping[str, np.ndarray]
    ) -> PlaceField:
        """The effect of its parts."""
        made = field_from(kind, self.kernel, variance, reach, sigma2, arrays)
        return PlaceField(
            term=self.term, names=self.names, places=self.places, kernel=self.kernel, variance=variance, reach=reach,
            sigma2=sigma2, kind=kind, arrays=arrays, field=made,
        )  # fmt: skip

    def loadings(self) -> Float[np.ndarray, "places columns"]:
        """Outputs of the embedding at the places."""
        none = {"mean": np.zeros(0), "spread": np.zeros((0, 0))}
        return EmbeddedField({**self.embedding, **none}).columns(self.places)


def polish_alone(
    site: Site, left: Float[np.ndarray, " rows"], begin: Begin, *, polish: bool, rng: np.random.Generator
) -> Polished:
    """A spatial effect without grouping factors.

    Args:
        site: the places.
        left: what the network leaves over in each training row.
        begin: where mini-batches led, which is kept without polish.
        polish: whether to maximise.
        rng: orders very many places.
    """
    sums = place_sums(left, site.codes, len(site.places))
    if site.kernel == "embedded":
        return _embedding_alone(site, sums, begin, polish=polish)
    gamma = begin.variance / begin.sigma2
    if polish:
        fit = fit_field(site.places, sums, site.kernel, rng=rng, begin=(gamma, begin.reach), level=True)
    else:
        fit = field_at(site.places, sums, site.kernel, np.log([gamma, begin.reach]), rng=rng, level=True)
    own, arrays, kind = (
        fit.covariance,
        {"counts": sums.counts, "means": sums.means - fit.level, "own_places": site.places},
        "exact",
    )
    if fit.at_boundary:
        kind, arrays = "zero", {}
    elif fit.layout is not None:
        layout = np.array([fit.layout.inducing, NEIGHBOURS])
        kind, arrays = "near", {**arrays, "order": fit.layout.order, "layout": layout}
    field = site.field(kind, own.variance, own.reach, own.sigma2, arrays)
    _warn_of_range(fit.range_at_boundary, site.term)
    return Polished(
        field=field,
        deviance=fit.deviance,
        parameters=3,
        trace=fit.trace,
        converged=fit.converged and polish,
        level=fit.level,
    )


def _embedding_alone(site: Site, sums: PlaceSums, begin: Begin, *, polish: bool) -> Polished:
    """Effects on the outputs of the embedding."""
    loadings = site.loadings()
    fit = fit_basis(sums, loadings, gamma=None if polish else begin.variance / begin.sigma2)
    variance = fit.variance * float((loadings**2).sum(axis=1).mean())
    arrays = {**site.embedding, "mean": fit.mean, "spread": fit.spread}
    kind = "zero" if fit.at_boundary else "embedded"
    field = site.field(kind, variance, math.nan, fit.sigma2, {} if fit.at_boundary else arrays)
    return Polished(field=field, deviance=fit.deviance, parameters=2, trace=(fit.deviance,), converged=polish)


def polish_beside(
    site: Site, design: Design, relative: Float[np.ndarray, " theta"], begin: Begin, *, polish: bool
) -> Polished:
    """A spatial effect beside grouping factors.

    Args:
        site: the places.
        design: what the network leaves over, its mean, the factors.
        relative: free elements of the relative factors that mini-batches led to, in the order of the moments.
        begin: where they led with the field.
        polish: whether to maximise.
    """
    scale = math.sqrt(begin.variance / begin.sigma2)
    if site.kernel == "embedded":
        moments = field_moments(design, site.codes, FixedCarrier(site.loadings()))
        maximum = _maximum(moments, np.append(relative, scale), (0.0, 0.0), polish=polish)
    else:
        low, high = bounds_of(site.places, site.kernel)
        start = min(max(math.log(begin.reach), low[1]), high[1])
        moments, maximum = _with_kernel(
            site, design, np.concatenate([relative, [scale, start]]), low[1], high[1], polish
        )
    solution = maximum.solution
    return Polished(
        field=_field_beside(site, moments, solution, maximum.theta), deviance=solution.deviance,
        parameters=len(maximum.theta) + 1, trace=maximum.trace, converged=maximum.converged,
        level=float(solution.beta[0]), moments=moments, maximum=maximum,
    )  # fmt: skip


def _with_kernel(
    site: Site, design: Design, theta: np.ndarray, low: float, high: float, polish: bool
) -> tuple[FieldMoments, FieldMaximum]:
    """As many inducing places as the range needs that is found, which is known afterwards only."""
    assert site.kernel != "embedded"
    carrier = kernel_carrier(site.places, site.kernel, math.exp(theta[-1]))
    while True:
        moments = field_moments(design, site.codes, carrier)
        maximum = _maximum(moments, theta, (low, high), polish=polish)
        theta = maximum.theta
        needed = kernel_carrier(site.places, site.kernel, math.exp(theta[-1]))
        if len(needed.inducing) <= len(carrier.inducing) or not polish:
            break
        carrier = needed
    carried = float((maximum.solution.carried.loadings**2).sum(axis=1).mean())
    if carried < 1.0 - LEFT_OUT:
        message = (
            f"the field of {site.term} changes over shorter distances than {len(carrier.inducing)} places can carry: "
            f"{1.0 - carried:.0%} of its variance counts as residual variance"
        )
        warnings.warn(ToolkitWarning(message, code="W241"), stacklevel=5)
    _warn_of_range(bool(theta[-1] <= low or theta[-1] >= high), site.term)
    return moments, maximum


def _maximum(moments: FieldMoments, theta: np.ndarray, reaches: tuple[float, float], *, polish: bool) -> FieldMaximum:
    """The maximum, or the point where mini-batches led."""
    if polish:
        return maximise_with_field(moments, theta, reaches)
    solution = solve_with_field(moments, theta)
    return FieldMaximum(solution=solution, theta=theta, trace=(solution.deviance,), converged=False)


def _field_beside(site: Site, moments: FieldMoments, solution: FieldSolution, theta: np.ndarray) -> PlaceField:
    """The effect at the solution."""
    variance = solution.sigma2 * solution.scale**2
    if solution.scale <= NONE:
        return site.field("zero", 0.0, math.nan, solution.sigma2, {})
    if isinstance(moments.carrier, KernelCarrier):
        own = carried_field(moments, solution, float(theta[-1]))
        arrays = {"inducing": own.inducing, "mean": own.mean, "spread": own.spread}
        return site.field("carried", variance, own.covariance.reach, solution.sigma2, arrays)
    mean = solution.scale * spherical_parts(solution)[2]
    spread = variance * inverse_of(solution).field
    square = float((solution.carried.loadings**2).sum(axis=1).mean())
    arrays = {**site.embedding, "mean": mean, "spread": spread}
    return site.field("embedded", variance * square, math.nan, solution.sigma2, arrays)


def _warn_of_range(at_boundary: bool, term: str) -> None:
    """W242 where the range says that places next to each other are unlike, or that all are alike."""
    if at_boundary:
        message = (
            f"the range of {term} lies at its limit: places next to each other have nothing in common, or all of them "
            "have; the data do not show how the effect changes with distance"
        )
        warnings.warn(ToolkitWarning(message, code="W242"), stacklevel=5)
