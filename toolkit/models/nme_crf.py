"""Neural mixed effects conditional random field: a chain whose emissions and transitions can be person-specific."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from toolkit.errors import ConfigError
from toolkit.models.modules import NetworkConfig
from toolkit.models.nme import (
    ALPHA,
    Approximation,
    Covariance,
    Effects,
    VarianceUpdate,
    check_annealing,
    check_approximation,
)

Prediction = Literal["sequence", "forecast"]
SELF = "self"
# "self", and pairs (from, into) of state names
Forbidden = tuple[str | tuple[str, str], ...]


class CrfConfig(NetworkConfig):
    """Settings of every chain model.

    Attributes:
        hidden: widths of the hidden layers of the network that scores the states.
        learn_ends: learn start and end scores; otherwise every state is equally likely at both ends of a sequence, as
            published.
        prediction: ``sequence`` predicts a state from the predictors of its whole sequence, as published.
            ``forecast`` predicts it from the predictors up to its row and the states observed before it. Where
            predictors hold earlier answers (lagged predictors), those of later rows give the answer of this one away,
            and only the forecast is an honest prediction.
        forbidden: transitions that cannot occur: ``"self"`` for data coded by onset, where a state never follows
            itself, and pairs of state names, ``(("calm", "sad"), ...)``. Their probability is exactly zero everywhere.
        transition_covariates: columns that shift the transitions, each constant within a sequence (depression, age,
            condition): the transition scores of a sequence are ``T + sum_k z_k G_k``, plus the person's effects. They
            do not enter the emissions. A column of 0 and 1 is taken as it is; any other is standardised by the training
            sequences, so that ``G_k`` is the shift per standard deviation.
    """

    hidden: tuple[int, ...] = (10,)
    learn_ends: bool = False
    prediction: Prediction = "sequence"
    forbidden: Forbidden = ()
    transition_covariates: tuple[str, ...] = ()

    @field_validator("forbidden", "transition_covariates", mode="before")
    @classmethod
    def _one_is_several(cls, value: Any) -> Any:
        """A single word stands for a list of one."""
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _no_class_weights(cls, settings: Any) -> Any:
        """The likelihood of a sequence has no term for each of its labels that a weight could multiply (E302)."""
        if isinstance(settings, Mapping) and settings.get("class_weights") is not None:
            raise ConfigError(
                "class_weights do not apply to chains: a whole sequence is one outcome, and its likelihood has no "
                "part for each state that could count more",
                code="E302",
                column="class_weights",
                remedy="use monitor='krippendorff_alpha', which does not reward the common state, or predict row by "
                "row (NmeMlp(task='multiclass', class_weights=...))",
            )
        return settings

    def model_post_init(self, context: Any, /) -> None:
        """Words other than ``self``, and names given twice."""
        super().model_post_init(context)
        words = [entry for entry in self.forbidden if isinstance(entry, str) and entry != SELF]
        if words:
            raise ConfigError(
                "forbidden takes 'self' and pairs of states",
                code="E302",
                column="forbidden",
                remedy='write "self", or (("calm", "sad"),) for no move from calm into sad',
            )
        for name in ("forbidden", "transition_covariates"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ConfigError(f"{name}: something is named twice", code="E302", column=name)


class NmeCrf(CrfConfig):
    """Chain with person effects.

    Attributes:
        effects: which parameters vary by person: ``last``, ``T`` (the transition matrix), ``last+T``, ``all``,
            ``first+T``, parameter names or wildcards; with several grouping factors see `NmeMlp`.
        variance_update: ``em``, ``paper``, ``paper_annealed`` or ``unregularised``; see `NmeMlp`.
        annealing_alpha: for ``paper_annealed`` only; see `NmeMlp`.
        covariance: ``diagonal`` or ``full``; see `NmeMlp`.
        approximation: ``auto`` or ``laplace``; see `NmeMlp`.
        weighting: ``once`` counts every sequence once, as the likelihood does. ``as_published`` multiplies each
            person's loss by the person's number of rows, as the released code did: a loss that is a sum already then
            counts a person twice over. To reproduce published numbers only; not with ``em``, which needs a likelihood.
    """

    effects: Effects = "last+T"
    variance_update: VarianceUpdate = "em"
    covariance: Covariance = "diagonal"
    annealing_alpha: float = Field(default=ALPHA, gt=0, lt=1)
    approximation: Approximation = "auto"
    weighting: Literal["once", "as_published"] = "once"

    def model_post_init(self, context: Any, /) -> None:
        """The published weighting is no likelihood, which ``em`` needs; annealing belongs to one update."""
        super().model_post_init(context)
        check_annealing(self.variance_update, self.annealing_alpha)
        check_approximation(self.approximation, self.variance_update, "sequence")
        if self.weighting == "as_published" and self.variance_update == "em":
            raise ConfigError(
                "weighting='as_published' is no likelihood, and variance_update='em' needs one",
                code="E302",
                column="weighting",
                remedy="use variance_update='paper', as published",
            )
