"""Small posteriors with known answers, shared by the tests of the samplers."""

from __future__ import annotations

import numpy as np
import torch

from toolkit.sampling import Bernoulli, Categorical, Clusters, Gaussian, Ordinal, Poisson, RowDensity, Target

DOUBLE = torch.float64


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def density(name, logits, g) -> RowDensity:
    """A density of that name with a target drawn given the logits."""
    if name == "gaussian":
        return Gaussian(logits[0] + 0.7 * torch.randn(logits.shape[1], generator=g, dtype=DOUBLE), 0.49)
    if name == "bernoulli":
        return Bernoulli(torch.bernoulli(torch.sigmoid(logits[0]), generator=g))
    if name == "poisson":
        return Poisson(torch.poisson(logits[0].exp(), generator=g))
    if name == "ordinal":
        cuts = torch.tensor([-1.0, 0.2, 1.1], dtype=DOUBLE)
        uniform = torch.rand(logits.shape[1], generator=g, dtype=DOUBLE)
        codes = (uniform[None] > torch.sigmoid(cuts[:, None] - logits)).sum(0)
        return Ordinal(codes, cuts)
    codes = torch.multinomial(torch.softmax(logits, 0).T, 1, generator=g)[:, 0]
    return Categorical(codes, len(logits))


def one_factor(name, *, levels=60, rows=400, outputs=1, seed=3) -> Target:
    """One grouping factor; the last level has no rows."""
    g = generator(seed)
    covariance = torch.eye(outputs, dtype=DOUBLE) * 0.8 + 0.3
    if outputs == 1:
        covariance = torch.tensor([[0.8]], dtype=DOUBLE)
    fixed = 0.6 * torch.randn((outputs, rows), generator=g, dtype=DOUBLE)
    clusters = Clusters(torch.randint(levels - 1, (rows,), generator=g), levels)
    effects = torch.linalg.cholesky(covariance) @ torch.randn((outputs, levels), generator=g, dtype=DOUBLE)
    return Target(fixed, density(name, fixed + clusters.spread(effects), g), (clusters,), (covariance,))


def quadrature_means(target: Target, *, points=161, reach=6.0) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means and SDs of a factor with one or two effects a level, by a product grid over the prior."""
    outputs = len(target.covariances[0])
    axis = torch.linspace(-reach, reach, points, dtype=DOUBLE)
    grid = torch.stack(torch.meshgrid(*[axis] * outputs, indexing="ij")).reshape(outputs, -1)
    nodes = torch.linalg.cholesky(target.covariances[0]) @ grid
    clusters = target.clusters[0]
    weight = (-0.5 * grid.square().sum(0))[:, None].repeat(1, clusters.levels)
    for place, node in enumerate(nodes.T):
        logits = target.fixed + node[:, None]
        weight[place].index_add_(0, clusters.codes, target.density.log_density(logits))
    weight = torch.softmax(weight, 0)
    mean = nodes @ weight
    return mean.numpy(), ((nodes.square() @ weight) - mean.square()).sqrt().numpy()
