"""Personalised experts: one output layer per training person, mixed by a gate (Feffer, Rudovic and Picard, 2018)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_serializer, field_validator

from toolkit.errors import ConfigError
from toolkit.models.config import LOOP, Config
from toolkit.models.extractors import Extractor


class PenConfig(Config):
    """Settings that the network of experts and its shared network have in common.

    Features go through an extractor: none at all (``hidden=()``), hidden layers of a perceptron, or a module of your
    own (``extractor``). The shared head is a linear layer on what comes out of it.

    Attributes:
        task: ``regression`` (one or several numeric targets), ``binary`` or ``multiclass``.
        hidden: widths of the extractor's layers (ReLU after each); ``()`` takes the features as they are.
        extractor: a feature extractor of your own; ``hidden`` has to be empty then.
        optimiser: ``adam``, or ``adadelta`` as published (with ``lr=1.0``).
        lr: learning rate.
        batch: rows of one step.
        shared_epochs: most epochs of step 1, extractor and head together (left out where nothing in the extractor is
            trained).
        head_epochs: most epochs of step 2, the head alone.
        epochs: most epochs of the last stage: for `PenShared` it is ``head_epochs`` that counts.
        patience: epochs without a better validation loss before a stage ends.
    """

    task: Literal["regression", "binary", "multiclass"] = "regression"
    hidden: tuple[int, ...] = ()
    extractor: Any = None
    optimiser: Literal["adam", "adadelta"] = "adam"
    batch: int = Field(default=256, ge=1)  # pyright: ignore[reportIncompatibleVariableOverride] - frozen, never None
    shared_epochs: int = Field(default=200, ge=1)
    head_epochs: int = Field(default=200, ge=1)
    epochs: int = Field(default=200, ge=1)
    patience: int = Field(default=10, ge=1)

    def model_post_init(self, context: Any, /) -> None:
        """An extractor of one's own takes the place of hidden layers."""
        self.refuse_settings(LOOP, "does not apply to networks of experts")
        super().model_post_init(context)
        if self.extractor is not None and self.hidden:
            raise ConfigError(
                "an extractor and hidden layers do not go together",
                code="E302",
                column="extractor",
                remedy="put the layers into the extractor, or leave it out",
            )

    @field_validator("extractor")
    @classmethod
    def _known_extractor(cls, value: Any) -> Any:
        """An `Extractor`, or the description of one from a manifest."""
        if value is None or isinstance(value, Extractor | dict):
            return value
        raise ValueError("wrap the module: Extractor(module=..., shape=...)")

    @field_serializer("extractor")
    def _described_extractor(self, value: Any) -> Any:
        """What a manifest can hold of an extractor: its description."""
        return value.describe() if isinstance(value, Extractor) else value


class Pen(PenConfig):
    """Network of personalised experts.

    ``y = sum_e c_e (W_e z + b_e)`` with ``c = softmax(U z + u)`` (Eqs. 1 to 3; the paper writes the gate's weights as
    ``W^s``, which are the shared head's). Four stages (Algorithm 1): extractor and shared head; shared head alone; gate
    alone, to recognise the persons; experts, started from the shared head, and gate together on

        mean squared error + lambda_0 H(c, person) + lambda_1 mean |U z + u|    (Eqs. 4 to 7).

    Classes are mixed as probabilities, ``p = sum_e c_e softmax(W_e z + b_e)``.

    Attributes:
        experts: ``person`` gives every training person an expert; a number fewer than the persons groups persons whose
            own heads are alike.
        experts_per_person: experts of each person (or group).
        identities: the gate learns to recognise the persons; without, the experts are as many but nobody's (t-PEN of
            the paper, where no ids are known).
        prior: ``nme`` draws the experts together: ``W_e ~ N(theta_bar, Sigma)`` with ``Sigma`` estimated, as person
            effects of a neural mixed effects model; ``none`` as published.
        lambda_0: weight of the gate's cross-entropy.
        lambda_1: weight of the L1 penalty on the gate before its softmax (the mean over experts; Eq. 7 has the sum).
        gate_epochs: most epochs of step 3, the gate alone.
        epochs: most epochs of step 4, experts and gate together.
    """

    experts: Literal["person"] | int = "person"
    experts_per_person: int = Field(default=1, ge=1)
    identities: bool = True
    prior: Literal["nme", "none"] = "none"
    lambda_0: float = Field(default=1e-3, ge=0, allow_inf_nan=False)
    lambda_1: float = Field(default=1e-3, ge=0, allow_inf_nan=False)
    gate_epochs: int = Field(default=200, ge=1)

    def model_post_init(self, context: Any, /) -> None:
        """What the types cannot say."""
        super().model_post_init(context)
        if isinstance(self.experts, int) and self.experts < 2:
            raise ConfigError(
                "one expert is the shared network",
                code="E302",
                column="experts",
                remedy='use PenShared, experts="person", or at least 2',
            )
        if self.prior == "nme" and not (self.identities and self.experts == "person" and self.experts_per_person == 1):
            raise ConfigError(
                "a prior over persons' experts needs one expert for each person",
                code="E302",
                column="prior",
                remedy='use prior="none", or experts="person" with identities',
            )

    @classmethod
    def as_published(cls, **settings: Any) -> Pen:
        """The published settings: Adadelta at 1.0, 10, 30, 30 and at most 30 epochs, both lambdas .001, no prior."""
        return cls(**{**PUBLISHED, "gate_epochs": 30, **settings})


class PenShared(PenConfig):
    """The shared network of `Pen` alone: extractor and one head for everybody (SN of the paper)."""

    @classmethod
    def as_published(cls, **settings: Any) -> PenShared:
        """The published settings: Adadelta at 1.0, 10 epochs with the extractor, 30 of the head."""
        return cls(**{**PUBLISHED, **settings})


# Keras' default learning rate of Adadelta was 1.0 at the time; early stopping ended the last stage after 5 epochs.
PUBLISHED: dict[str, Any] = {
    "optimiser": "adadelta",
    "lr": 1.0,
    "shared_epochs": 10,
    "head_epochs": 30,
    "epochs": 30,
    "patience": 5,
}
