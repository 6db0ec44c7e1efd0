"""Neural mixed effects models on rows: a perceptron with person parameters (Woertwein et al., 2023)."""

from __future__ import annotations

from typing import Any, Literal

from toolkit.errors import ConfigError
from toolkit.models.modules import NetworkConfig


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
            wildcards.
        variance_update: ``em`` (adds each person's posterior covariance; agrees with lme4 for a linear network) or
            ``paper`` (sample covariance of the point estimates, as published; biased low); ``unregularised`` gives the
            effects no prior at all (uNME of Woertwein et al., 2023, Fig. 5): for comparison only, as every person is
            fitted by their own rows alone.
        covariance: person effects independent (``diagonal``) or with all correlations (``full``).
    """

    effects: str | tuple[str, ...] = "last"
    variance_update: Literal["em", "paper", "unregularised"] = "em"
    covariance: Literal["diagonal", "full"] = "diagonal"
