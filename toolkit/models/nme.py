"""Neural mixed effects models on rows: a perceptron with person parameters (Woertwein et al., 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from toolkit.errors import ConfigError
from toolkit.models.modules import NetworkConfig

# Which parameters vary, and how their effects correlate: for every grouping factor alike, or for each by its name.
Effects = str | tuple[str, ...] | Mapping[str, str | tuple[str, ...]]
Covariance = Literal["diagonal", "full"] | Mapping[str, Literal["diagonal", "full"]]


class MlpConfig(NetworkConfig):
    """Settings of every multilayer perceptron, or of another network in its place (``module``).

    Attributes:
        task: ``regression``, ``binary`` or ``multiclass``.
        loss: ``mse`` for regression, ``cross_entropy`` for classes; None takes the one that fits the task.
    """

    task: Literal["regression", "binary", "multiclass"] = "regression"
    loss: Literal["mse", "cross_entropy"] | None = None

    def model_post_init(self, context: Any, /) -> None:
        """A loss has to fit its task."""
        super().model_post_init(context)
        fitting = "mse" if self.task == "regression" else "cross_entropy"
        if self.loss not in {None, fitting}:
            raise ConfigError(
                f"loss '{self.loss}' does not fit task '{self.task}'",
                code="E302",
                column="loss",
                remedy=f"use '{fitting}'",
            )


class NmeMlp(MlpConfig):
    """Multilayer perceptron with person effects.

    Attributes:
        effects: which parameters vary by person: ``last`` (the last layer), ``first``, ``all``, parameter names or
            wildcards. With several grouping factors they vary by each of them, or by each its own: ``{"person": "last",
            "family": "layers.1.bias"}``.
        variance_update: ``em`` (adds each person's posterior covariance; agrees with lme4 for a linear network) or
            ``paper`` (sample covariance of the point estimates, as published; biased low); ``unregularised`` gives the
            effects no prior at all (uNME of Woertwein et al., 2023, Fig. 5): for comparison only, as every person is
            fitted by their own rows alone. ``paper_annealed`` is ``paper`` as the released code has it: after every
            epoch a variance is the larger of ``annealing_alpha`` times itself and the sample variance.
        annealing_alpha: between 0.9 and 1 as published; for ``paper_annealed`` only (0.97 if not given).
        covariance: person effects independent (``diagonal``) or with all correlations (``full``); of each grouping
            factor alike, or of each its own: ``{"person": "full", "family": "diagonal"}``.
    """

    effects: Effects = "last"
    variance_update: Literal["em", "paper", "paper_annealed", "unregularised"] = "em"
    covariance: Covariance = "diagonal"
    annealing_alpha: float = Field(default=0.97, gt=0, lt=1)

    def model_post_init(self, context: Any, /) -> None:
        """Annealing belongs to one update."""
        super().model_post_init(context)
        if self.variance_update != "paper_annealed" and self.annealing_alpha != 0.97:
            raise ConfigError(
                "annealing_alpha applies to variance_update='paper_annealed' only",
                code="E302",
                column="annealing_alpha",
                remedy="leave it out, or choose that update",
            )
