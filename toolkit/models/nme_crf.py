"""Neural mixed effects conditional random field: a chain whose emissions and transitions can be person-specific."""

from __future__ import annotations

from typing import Literal

from toolkit.models.modules import NetworkConfig
from toolkit.models.nme import Covariance, Effects

Prediction = Literal["sequence", "forecast"]


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
    """

    hidden: tuple[int, ...] = (10,)
    learn_ends: bool = False
    prediction: Prediction = "sequence"


class NmeCrf(CrfConfig):
    """Chain with person effects.

    Attributes:
        effects: which parameters vary by person: ``last``, ``T`` (the transition matrix), ``last+T``, ``all``,
            ``first+T``, parameter names or wildcards; with several grouping factors see `NmeMlp`.
        variance_update: ``em``, ``paper`` or ``unregularised``; see `NmeMlp`.
        covariance: ``diagonal`` or ``full``; see `NmeMlp`.
    """

    effects: Effects = "last+T"
    variance_update: Literal["em", "paper", "unregularised"] = "em"
    covariance: Covariance = "diagonal"
