"""One network for everybody: the multilayer perceptron without person effects."""

from __future__ import annotations

from toolkit.models.nme import MlpConfig


class GenericMlp(MlpConfig):
    """Multilayer perceptron with shared parameters only."""
