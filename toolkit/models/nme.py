"""Neural mixed effects models on rows: a perceptron with person parameters (Woertwein et al., 2023)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, PositiveFloat

from toolkit.errors import ConfigError
from toolkit.models.modules import NetworkConfig

# Which parameters vary, and how their effects correlate: for every grouping factor alike, or for each by its name.
Effects = str | tuple[str, ...] | Mapping[str, str | tuple[str, ...]]
VarianceUpdate = Literal["em", "paper", "paper_annealed", "unregularised"]
Approximation = Literal["auto", "laplace"]
ALPHA = 0.97  # annealing factor of the released code
Covariance = Literal["diagonal", "full"] | Mapping[str, Literal["diagonal", "full"]]
Loss = Literal["mse", "l1", "huber", "cross_entropy", "poisson"]
# Losses of the tasks that predict numbers, the usual one first; all others predict classes.
FITTING: dict[str, tuple[Loss, ...]] = {"regression": ("mse", "l1", "huber"), "count": ("poisson",)}
DELTA = 1.0


class MlpConfig(NetworkConfig):
    """Settings of every multilayer perceptron, or of another network in its place (``module``).

    Attributes:
        task: ``regression``, ``binary``, ``multiclass``, ``ordinal`` (classes with an order: cumulative logit) or
            ``count`` (Poisson with log link).
        loss: ``mse`` for regression, ``cross_entropy`` for classes, ``poisson`` for counts; None takes the fitting one.
            Regression also has ``l1`` (absolute errors: residuals of a Laplace density) and ``huber`` (squares up to a
            threshold, absolute errors beyond), which few odd answers do not pull away.
        huber_delta: the threshold of ``huber``, in SDs of the target in the training rows; 1 if not given.
        class_weights: of classes: how much a row of each class counts in training and validation, as a mapping from
            labels to weights, or ``balanced`` (``rows / (classes * rows of the class)``, from the training rows).
        exposure: of counts: the feature that says for how long or among how many was counted. Its logarithm is added
            to the log of the mean, so that rates are modelled; it is no predictor then.
    """

    task: Literal["regression", "binary", "multiclass", "ordinal", "count"] = "regression"
    loss: Loss | None = None
    huber_delta: PositiveFloat | None = None
    class_weights: Literal["balanced"] | dict[str, PositiveFloat] | None = None
    exposure: str | None = None

    def model_post_init(self, context: Any, /) -> None:
        """A loss has to fit its task, and every setting has to apply."""
        super().model_post_init(context)
        fitting = FITTING.get(self.task, ("cross_entropy",))
        if self.loss not in {None, *fitting}:
            raise ConfigError(
                f"loss '{self.loss}' does not fit task '{self.task}'",
                code="E302",
                column="loss",
                remedy="use " + " or ".join(f"'{name}'" for name in fitting),
            )
        self._refuse_useless()

    def _refuse_useless(self) -> None:
        """Refuse settings of other losses and tasks (E302)."""
        useless = {
            "class_weights": (self.task in FITTING, "only classes have weights"),
            "huber_delta": (self.loss != "huber", "it is a setting of loss 'huber'"),
            "exposure": (self.task != "count", "it is a setting of task 'count'"),
        }
        for name, (does_not_apply, why) in useless.items():
            if getattr(self, name) is not None and does_not_apply:
                raise ConfigError(f"{name} does not apply: {why}", code="E302", column=name, remedy="leave it out")
        if self.module is not None and (self.task == "ordinal" or self.exposure is not None):
            raise ConfigError(
                "ordered classes and exposures need a perceptron: a network of your own has no thresholds or offset",
                code="E302",
                column="module",
                remedy="leave the module out, or use task='multiclass'",
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
        approximation: of the likelihood of classes, ordered classes and counts whose effects enter the outputs
            linearly. ``auto``: quadrature for one to three effects a person, else Laplace's approximation.
            ``laplace``: always Laplace's, as lme4's ``glmer`` does; for ``em`` and one grouping factor.
        covariance: person effects independent (``diagonal``) or with all correlations (``full``); of each grouping
            factor alike, or of each its own: ``{"person": "full", "family": "diagonal"}``.
    """

    effects: Effects = "last"
    variance_update: VarianceUpdate = "em"
    covariance: Covariance = "diagonal"
    annealing_alpha: float = Field(default=ALPHA, gt=0, lt=1)
    approximation: Approximation = "auto"

    def model_post_init(self, context: Any, /) -> None:
        """Annealing belongs to one update, an approximation to outcomes that need one."""
        super().model_post_init(context)
        check_annealing(self.variance_update, self.annealing_alpha)
        check_approximation(self.approximation, self.variance_update, self.task)


def check_approximation(approximation: Approximation, update: VarianceUpdate, task: str) -> None:
    """Laplace's approximation is a choice where ``em`` would take quadrature (E302)."""
    if approximation == "laplace" and (update != "em" or task == "regression"):
        raise ConfigError(
            "approximation applies to variance_update='em' of classes and counts only",
            code="E302",
            column="approximation",
            remedy="leave it out",
        )


def check_annealing(update: VarianceUpdate, alpha: float) -> None:
    """Annealing belongs to one update (E302)."""
    if update != "paper_annealed" and alpha != ALPHA:
        raise ConfigError(
            "annealing_alpha applies to variance_update='paper_annealed' only",
            code="E302",
            column="annealing_alpha",
            remedy="leave it out, or choose that update",
        )
