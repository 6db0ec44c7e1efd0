"""What all rows say of a spatial effect, alone or beside grouping factors, while the network is still trained."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from toolkit.models.field_polish import Begin, Site
from toolkit.models.lmmnn_whole import Refreshed
from toolkit.numerics.mixed.design import Design
from toolkit.numerics.mixed.moments import moments
from toolkit.numerics.spatial.basis import fit_basis
from toolkit.numerics.spatial.beside import FieldMoments, field_moments, solve_with_field
from toolkit.numerics.spatial.beside_slopes import spherical_parts
from toolkit.numerics.spatial.carriers import FixedCarrier, KernelCarrier, kernel_carrier
from toolkit.numerics.spatial.estimation import EXACT, bounds_of, fit_field
from toolkit.numerics.spatial.fields import Covariance, NearbyField
from toolkit.numerics.spatial.layout import Layout, farthest_places, lay_out
from toolkit.numerics.spatial.locations import PlaceSums, place_sums

# inducing places that are enough on the way
ENOUGH = 300
# inducing places and neighbours that are, where places are very many
FEW_INDUCING, FEW_NEIGHBOURS = 150, 20
FLOOR = 1e-6


class FieldOfAllRows:
    """Predicts a spatial effect from what the network leaves over in all rows; variances follow where that is fast."""

    def __init__(self, state: Callable[[], tuple[Site, Begin]], *, seed: int) -> None:
        """Keep what tells the places, and where the search for the variances begins, at the first call."""
        self._state, self._seed = state, seed
        self._layout: Layout | None = None

    @property
    def size(self) -> int:
        """Log of the field's variance over the residual's, and log range."""
        return 2

    def __call__(self, left: Float[np.ndarray, " rows"], theta: Float[np.ndarray, " theta"] | None) -> Refreshed:
        """The effect given what is left over."""
        site, begin = self._state()
        sums = place_sums(left, site.codes, len(site.places))
        if site.kernel == "embedded":
            loadings = site.loadings()
            fit = fit_basis(sums, loadings)
            gamma = max(fit.variance / fit.sigma2, FLOOR)
            offset = (loadings @ fit.mean)[site.codes]
            theta = np.array([math.log(gamma), 0.0])
            return Refreshed(offset=offset, sigma2=fit.sigma2, theta=theta, deviance=fit.deviance)
        if theta is None:
            theta = np.log([max(begin.variance / begin.sigma2, FLOOR), begin.reach])
        if len(site.places) > EXACT:
            return self._near(site, sums, begin, np.clip(theta, *bounds_of(site.places, site.kernel)))
        rng = np.random.default_rng(self._seed)
        found = fit_field(
            site.places, sums, site.kernel, rng=rng, begin=(math.exp(theta[0]), math.exp(theta[1])), level=True
        )
        own = found.covariance
        theta = np.log([max(own.variance / own.sigma2, FLOOR), own.reach])
        offset = found.field.predict(site.places)[0][site.codes]
        return Refreshed(offset=offset, sigma2=own.sigma2, theta=theta, deviance=found.deviance)

    def _near(self, site: Site, sums: PlaceSums, begin: Begin, theta: Float[np.ndarray, " theta"]) -> Refreshed:
        """The same with very many places, at the variances that mini-batches led to."""
        assert site.kernel != "embedded"
        if self._layout is None:
            rng = np.random.default_rng(self._seed)
            self._layout = lay_out(site.places, inducing=FEW_INDUCING, neighbours=FEW_NEIGHBOURS, rng=rng)
        own = Covariance(
            kernel=site.kernel, variance=begin.sigma2 * math.exp(theta[0]), reach=math.exp(theta[1]),
            sigma2=begin.sigma2,
        )  # fmt: skip
        field = NearbyField(self._layout, sums.taken(self._layout.order), own, level=True)
        return Refreshed(offset=field.predict(site.places)[0][site.codes], sigma2=begin.sigma2, theta=theta)


class FieldBesideOfAllRows:
    """The same beside grouping factors, at the variances that mini-batches led to."""

    def __init__(
        self, state: Callable[[], tuple[Site, Begin, list[np.ndarray]]], design: Design, *, embedded: bool
    ) -> None:
        """Keep what tells places, start values and relative factors at the first call, and the design."""
        self._state, self._design, self._embedded = state, design, embedded

    @property
    def size(self) -> int:
        """Free elements of the relative factors, the field's relative SD, its log range."""
        return sum(len(factor.free[0]) for factor in self._design.factors) + (1 if self._embedded else 2)

    def __call__(self, left: Float[np.ndarray, " rows"], theta: Float[np.ndarray, " theta"] | None) -> Refreshed:
        """Effects of the factors and of the field given what is left over."""
        site, start, relative = self._state()
        carrier = _carrier(site, start)
        design = replace(self._design, outcome=left)
        if theta is None:
            own = [math.sqrt(max(start.variance / start.sigma2, FLOOR)), _log_reach(site, start)]
            theta = np.append(free_elements(design, relative, start.sigma2), own[: carrier.parameters])
        sums: FieldMoments = field_moments(design, site.codes, carrier)
        solution = solve_with_field(sums, theta)
        first, rest, field = spherical_parts(solution)
        offset = (solution.loadings @ field)[site.codes]
        begin = 0
        for place, (order, lower) in enumerate(zip(sums.factors.order, solution.relative, strict=True)):
            factor = design.factors[order]
            size = factor.levels * factor.size
            u = first if place == 0 else rest[begin : begin + size].reshape(factor.levels, factor.size)
            begin += 0 if place == 0 else size
            offset = offset + np.einsum("re,re->r", factor.design, (u @ lower.T)[factor.codes])
        return Refreshed(offset=offset, sigma2=solution.sigma2, theta=theta, deviance=solution.deviance)


def _log_reach(site: Site, begin: Begin) -> float:
    """The range within its limits; an embedding has none."""
    if site.kernel == "embedded":
        return 0.0
    low, high = bounds_of(site.places, site.kernel)
    return min(max(math.log(begin.reach), low[1]), high[1])


def _carrier(site: Site, begin: Begin) -> FixedCarrier | KernelCarrier:
    """The embedding, or inducing places of which few are enough on the way."""
    if site.kernel == "embedded":
        return FixedCarrier(site.loadings())
    found = kernel_carrier(site.places, site.kernel, math.exp(_log_reach(site, begin)))
    if len(found.inducing) <= ENOUGH or len(site.places) <= EXACT:
        return found
    return KernelCarrier(site.places, site.places[farthest_places(site.places, ENOUGH)], site.kernel)


def free_elements(design: Design, relative: list[np.ndarray], sigma2: float) -> Float[np.ndarray, " theta"]:
    """Free elements of relative factors over the residual SD, in the order of the moments."""
    sums = moments(design)
    free = [relative[order][sums.factors[place].free] for place, order in enumerate(sums.order)]
    return np.concatenate(free) / math.sqrt(sigma2)
