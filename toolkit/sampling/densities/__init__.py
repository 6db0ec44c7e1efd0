"""Densities of one row's target given its logits, one per file."""

from toolkit.sampling.densities.bernoulli import Bernoulli as Bernoulli
from toolkit.sampling.densities.categorical import Categorical as Categorical
from toolkit.sampling.densities.density import RowDensity as RowDensity
from toolkit.sampling.densities.gaussian import Gaussian as Gaussian
from toolkit.sampling.densities.ordinal import Ordinal as Ordinal
from toolkit.sampling.densities.poisson import Poisson as Poisson
