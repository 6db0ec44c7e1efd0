"""A Gaussian process over places with a network as its mean, by inducing points (SVDKL; Wilson et al., 2016)."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.special import log_ndtr

from toolkit.data.grouped import GroupedDataset
from toolkit.errors import ConfigError
from toolkit.models.dropping import DroppableMlp
from toolkit.models.plain import (
    OwnLoss,
    PlainConfig,
    Reading,
    Units,
    check_places,
    coordinates_of,
    draw_parameters,
    read_places,
    rows_as_units,
)

SCALE = 0.05  # length scale at the start, as a share of the longer side of the region


class SvDkl(PlainConfig):
    """Stochastic variational Gaussian process with an RBF kernel over places, a perceptron of the features as its mean.

    Fitted by the evidence lower bound in mini-batches through GPyTorch (Gardner et al., 2018), which has to be
    installed: ``pip install "nme-toolkit[svdkl]"``. Two classes have a probit link.

    Attributes:
        coordinates: features that say where a row is.
        inducing: places that stand in for all others; where they lie is learned.
    """

    coordinates: tuple[str, str] = ("x_coord", "y_coord")
    inducing: int = Field(default=500, ge=2)

    def check(self, data: GroupedDataset) -> None:
        """Refuse rows without places, and a machine without GPyTorch."""
        gpytorch()
        check_places(data, self.coordinates)

    def read(self, data: GroupedDataset, rows: np.ndarray) -> Reading:
        """Features, and the box in which the places lie."""
        return read_places(self, data, rows, self.coordinates)

    def units(self, reading: Reading, data: GroupedDataset, level: str) -> Units:
        """Features, and places as shares of the longer side of the box."""
        assert reading.low is not None
        assert reading.high is not None
        places = (coordinates_of(data, self.coordinates) - reading.low) / (reading.high - reading.low).max()
        return rows_as_units(data.n_rows, reading.scaler.features(data), places)

    def build(self, reading: Reading) -> nn.Module:
        """The network and the process."""
        return KernelNetwork(reading.scaler.width, self.hidden, self.inducing, classes=self.task == "binary")

    def start(self, module: nn.Module, generator: torch.Generator, reading: Reading, units: Units) -> None:
        """Inducing points start at places of training rows; if these are too few, anywhere between them."""
        assert isinstance(module, KernelNetwork)
        draw_parameters(module.perceptron, generator)
        places = torch.as_tensor(np.unique(units.arrays[1], axis=0))
        order = torch.randperm(len(places), generator=generator)[: self.inducing]
        more = torch.rand((self.inducing - len(order), 2), generator=generator, dtype=places.dtype)
        chosen = torch.cat([places[order], more * places.max(dim=0).values])
        module.begin(chosen)

    def own_loss(self, rows: int) -> OwnLoss | None:
        """Minus the evidence lower bound, per row."""

        def loss(module: nn.Module, arrays: tuple[Tensor, ...], targets: Tensor, counted: Tensor) -> Tensor:
            assert isinstance(module, KernelNetwork)
            return module.bound(arrays[0], arrays[1], targets, rows)

        return loss


class KernelNetwork(nn.Module):
    """Perceptron plus a Gaussian process at inducing points."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], inducing: int, *, classes: bool) -> None:
        """Lay out the parts; values are set later."""
        super().__init__()
        self.perceptron = DroppableMlp(inputs, hidden, 1)
        self.process: Any = _process(inducing)
        self.log_noise = nn.Parameter(torch.zeros(()))
        self.classes = classes

    def begin(self, places: Tensor) -> None:
        """Values before training."""
        strategy, kernel = self.process.variational_strategy, self.process.kernel
        with torch.no_grad():
            strategy.inducing_points.copy_(places)
            kernel.base_kernel.lengthscale = SCALE
            kernel.outputscale = 1.0
            self.log_noise.zero_()
        self.process(strategy.inducing_points[:1])  # sets the distribution at the inducing points to the prior's

    def forward(self, rows: Tensor, places: Tensor) -> Tensor:
        """Predictive mean of each row; of two classes the log odds."""
        found = self.process(places)
        mean = self.perceptron(rows)[:, 0] + found.mean
        if not self.classes:
            return mean
        score = mean / (1.0 + found.variance).sqrt()
        return log_ndtr(score) - log_ndtr(-score)

    def bound(self, rows: Tensor, places: Tensor, targets: Tensor, count: int) -> Tensor:
        """Minus the evidence lower bound of a batch, per row of all ``count`` rows."""
        found = self.process(places)
        mean, variance = self.perceptron(rows)[:, 0] + found.mean, found.variance
        fit = _probit(mean, variance, targets) if self.classes else _normal(mean, variance, targets, self.log_noise)
        return self.process.variational_strategy.kl_divergence() / count - fit.mean()


def _normal(mean: Tensor, variance: Tensor, targets: Tensor, log_noise: Tensor) -> Tensor:
    """Expected log density of each target."""
    squares = (targets - mean).square() + variance
    return -0.5 * (math.log(2.0 * math.pi) + log_noise + squares * torch.exp(-log_noise))


def _probit(mean: Tensor, variance: Tensor, targets: Tensor) -> Tensor:
    """Expected log probability of each class, by Gauss-Hermite quadrature of 20 nodes."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(20)
    signs = 2.0 * targets - 1.0
    drawn = mean[:, None] + variance.sqrt()[:, None] * torch.as_tensor(nodes).to(mean)
    share = torch.as_tensor(weights / weights.sum()).to(mean)
    return (log_ndtr(signs[:, None] * drawn) * share).sum(dim=1)


def _process(inducing: int) -> Any:
    """A Gaussian process of mean zero with an RBF kernel, by inducing points whose places are learned."""
    library = gpytorch()
    variational = library.variational

    class Process(library.models.ApproximateGP):
        """The process."""

        def __init__(self) -> None:
            """Places and distribution of the inducing points, kernel."""
            distribution = variational.CholeskyVariationalDistribution(inducing, mean_init_std=0.0)
            points = torch.zeros((inducing, 2))
            super().__init__(variational.VariationalStrategy(self, points, distribution, learn_inducing_locations=True))
            self.nothing = library.means.ZeroMean()
            self.kernel = library.kernels.ScaleKernel(library.kernels.RBFKernel())

        def forward(self, places: Tensor) -> object:
            """Prior at some places."""
            return library.distributions.MultivariateNormal(self.nothing(places), self.kernel(places))

    return Process()


def gpytorch() -> Any:
    """The library.

    Raises:
        ConfigError: E302 where it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit, which it uses
            import gpytorch as library
    except ImportError:
        raise ConfigError(
            "SvDkl computes with GPyTorch, which is not installed",
            code="E302",
            column="model",
            remedy='pip install "nme-toolkit[svdkl]"',
        ) from None
    return library
