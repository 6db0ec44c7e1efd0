"""Densities of residuals against numerical integration and a generic optimiser."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import minimize_scalar

from toolkit.models.noise import Noise, huber_constant, huber_loss_mean, huber_variance

CASES = [(0.3, 1.0), (2.0, 1.0), (9.0, 0.4), (40.0, 1.345), (0.05, 0.2)]


def huber(residual: float, delta: float) -> float:
    size = abs(residual)
    return 0.5 * size**2 if size <= delta else delta * size - 0.5 * delta**2


def integral(function, weight: float, delta: float) -> float:
    """Twice the integral over the positive half, the kink apart."""

    def inside(r: float) -> float:
        return function(r) * np.exp(-weight * huber(r, delta))

    far = delta + 60.0 / (weight * delta)
    return 2.0 * (quad(inside, 0.0, delta)[0] + quad(inside, delta, far, limit=200)[0])


@pytest.mark.parametrize(("weight", "delta"), CASES)
def test_constant_mean_loss_and_variance_are_the_integrals(weight, delta):
    whole = integral(lambda _: 1.0, weight, delta)
    assert huber_constant(weight, delta) == pytest.approx(whole, rel=1e-8)
    loss = integral(lambda r: huber(r, delta), weight, delta) / whole
    assert huber_loss_mean(weight, delta) == pytest.approx(loss, rel=1e-7)
    assert huber_variance(weight, delta) == pytest.approx(integral(lambda r: r**2, weight, delta) / whole, rel=1e-7)


@pytest.mark.parametrize(("weight", "delta"), CASES)
def test_weight_and_variance_lead_to_each_other(weight, delta):
    noise = Noise(density="huber", delta=delta)
    assert noise.weight(huber_variance(weight, delta)) == pytest.approx(weight, rel=1e-8)
    assert noise.variance(huber_loss_mean(weight, delta)) == pytest.approx(huber_variance(weight, delta), rel=1e-8)


@pytest.mark.parametrize("density", ["normal", "laplace", "huber"])
def test_the_variance_of_a_mean_loss_has_the_greatest_likelihood(density):
    residuals = np.random.default_rng(0).standard_t(3, size=200)
    noise = Noise(density=density, delta=0.7)
    losses = {
        "normal": residuals**2,
        "laplace": np.abs(residuals),
        "huber": np.array([huber(r, 0.7) for r in residuals]),
    }[density]

    def minus_loglik(log_variance: float) -> float:
        weight = noise.weight(float(np.exp(log_variance)))
        constant = {
            "normal": np.sqrt(np.pi / weight),
            "laplace": 2.0 / weight,
            "huber": huber_constant(weight, 0.7),
        }[density]
        return weight * losses.sum() + len(residuals) * np.log(constant)

    best = minimize_scalar(minus_loglik, bounds=(-5, 5), method="bounded", options={"xatol": 1e-9})
    assert noise.variance(losses.mean()) == pytest.approx(np.exp(best.x), rel=1e-5)


def test_limits_are_the_normal_and_the_laplace_density():
    wide, narrow = Noise(density="huber", delta=50.0), Noise(density="huber", delta=1e-3)
    assert wide.weight(0.8) == pytest.approx(2.0 * Noise().weight(0.8))  # of half the square
    assert narrow.weight(0.8) * 1e-3 == pytest.approx(Noise(density="laplace").weight(0.8), rel=2e-3)
