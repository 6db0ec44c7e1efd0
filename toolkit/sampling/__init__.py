"""Draws from the posterior of every level's effects, given the logits of a network: samplers and diagnostics."""

from toolkit.sampling.blocks import Blocks as Blocks
from toolkit.sampling.densities import Bernoulli as Bernoulli
from toolkit.sampling.densities import Categorical as Categorical
from toolkit.sampling.densities import Gaussian as Gaussian
from toolkit.sampling.densities import Ordinal as Ordinal
from toolkit.sampling.densities import Poisson as Poisson
from toolkit.sampling.densities import RowDensity as RowDensity
from toolkit.sampling.hmc import Hmc as Hmc
from toolkit.sampling.hmc import Mala as Mala
from toolkit.sampling.nuts import Nuts as Nuts
from toolkit.sampling.protocol import Diagnostics as Diagnostics
from toolkit.sampling.protocol import Sampler as Sampler
from toolkit.sampling.protocol import State as State
from toolkit.sampling.target import Clusters as Clusters
from toolkit.sampling.target import Draw as Draw
from toolkit.sampling.target import Target as Target
