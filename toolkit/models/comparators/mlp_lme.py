"""A mixed model on top of a network, by EM with retraining (MLP-LME; Xiong et al., 2019)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from toolkit.errors import ConfigError
from toolkit.models.config import LOOP
from toolkit.models.nme import MlpConfig


class MlpLme(MlpConfig):
    """Multilayer perceptron with a linear mixed model on its last hidden layer, for a numeric outcome.

    The network is trained with the random effects held; one EM step (Lindstrom and Bates, 1988) updates effects, their
    covariance and the residual variance; the network starts anew; and so on. At the end the network is held and the
    mixed model carried to its maximum likelihood. Differs from the published code where that was wrong: outer products
    of the effects, the exact E-step, and variances that cannot be negative; activations are not standardised.

    Attributes:
        effects: ``last``: coefficients of the activations and the intercept vary by person; ``bias``: the intercept.
        covariance: of the random effects: ``full`` as published, or ``diagonal``.
        rounds: times the network is trained anew after an EM step; 14 as published.
    """

    effects: Literal["last", "bias"] = "last"
    covariance: Literal["diagonal", "full"] = "full"
    rounds: int = Field(default=14, ge=0)

    def model_post_init(self, context: object, /) -> None:
        """The mixed model stands on a perceptron's activations."""
        self.refuse_settings({"batch": None, **LOOP}, "does not apply to EM with retraining, which takes full steps")
        super().model_post_init(context)
        if self.task != "regression":
            raise ConfigError("MlpLme is for numeric outcomes", code="E302", column="task", remedy="use NmeMlp")
        if self.loss not in {None, "mse"}:
            raise ConfigError(
                "MlpLme has normal residuals", code="E302", column="loss", remedy="use NmeMlp for other losses"
            )
        if self.module is not None:
            raise ConfigError(
                "MlpLme is a perceptron", code="E302", column="module", remedy="use NmeMlp with a network of your own"
            )
