"""Smooth Gaussian fields over the plane, drawn exactly at any number of places."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

# what is left out of the covariance: exp(-36) = 2e-16 of the variance
_CUT = 6.0 * np.sqrt(2.0)


def rbf_covariance(
    first: Float[np.ndarray, "first 2"],
    second: Float[np.ndarray, "second 2"],
    *,
    variance: float,
    squared_scale: float,
) -> Float[np.ndarray, "first second"]:
    r"""Covariance ``variance * exp(-d^2 / (2 squared_scale))`` of two sets of places at distances ``d``."""
    squares = ((first[:, None, :] - second[None, :, :]) ** 2).sum(axis=-1)
    return variance * np.exp(-squares / (2.0 * squared_scale))


def draw_field(
    locations: Float[np.ndarray, "location 2"],
    *,
    variance: float,
    squared_scale: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, " location"]:
    r"""One draw of a field with covariance ``variance * exp(-d^2 / (2 squared_scale))`` at given places.

    The kernel is a product of one function of each coordinate, and on a circle that is longer than the region by
    ``8.5 sqrt(squared_scale)`` it is the same as on the line to 2e-16 of the variance. There it is a sum of cosines:
    ``b(x, y) = sum_kl Z_kl phi_k(x) phi_l(y)`` with independent standard normal ``Z`` and sines and cosines ``phi``
    whose squared amplitudes are the kernel's Fourier coefficients. A few hundred of them leave out nothing that double
    precision could hold, so the draw is exact; a Cholesky decomposition of 10,000 places would need 800 MB, this needs
    a tenth of a second.

    Args:
        locations: coordinates.
        variance: of the field at a place.
        squared_scale: square of the kernel's length scale.
        rng: source of the draw.
    """
    across, along = (_waves(coordinate, squared_scale) for coordinate in np.asarray(locations).T)
    drawn = rng.normal(size=(across.shape[1], along.shape[1]))
    return np.sqrt(variance) * ((across @ drawn) * along).sum(axis=1)


def _waves(coordinate: Float[np.ndarray, " location"], squared_scale: float) -> Float[np.ndarray, "location wave"]:
    """Sines and cosines whose products, summed, are the kernel of one coordinate."""
    scale = np.sqrt(squared_scale)
    circle = float(np.ptp(coordinate)) + _CUT * scale
    frequencies = 2.0 * np.pi * np.arange(int(np.ceil(_CUT * circle / (2.0 * np.pi * scale))) + 1) / circle
    share = scale * np.sqrt(2.0 * np.pi) / circle * np.exp(-0.5 * (frequencies * scale) ** 2)
    share[1:] *= 2.0  # a frequency and its negative
    angles = np.outer(coordinate, frequencies)
    return np.hstack([np.sqrt(share) * np.cos(angles), np.sqrt(share[1:]) * np.sin(angles[:, 1:])])
