"""A chain whose last layer and transitions are each person's own: no shared value, no prior (Specific-CRF)."""

from __future__ import annotations

from typing import Any

from toolkit.errors import ConfigError
from toolkit.models.nme_crf import CrfConfig


class SpecificCrf(CrfConfig):
    """Chain whose ``effects`` belong to each person alone, trained by that person's sequences.

    As `SpecificMlp`: everybody starts at the same values and goes on alone; hidden layers, start and end scores are
    shared and trained. Persons without training rows, and the population, are predicted with the mean of the persons'
    parameters.

    Attributes:
        effects: what is each person's own: ``last+T``, ``last``, ``T``, ``all``, or names as in `NmeCrf`.
    """

    effects: str | tuple[str, ...] = "last+T"

    def model_post_init(self, context: Any, /) -> None:
        """Transitions of one's own leave nothing for a covariate to shift."""
        super().model_post_init(context)
        if self.transition_covariates:
            raise ConfigError(
                "in a Specific-CRF every person's transitions are their own: nothing is left for covariates to shift",
                code="E302",
                column="transition_covariates",
                remedy="use NmeCrf",
            )
