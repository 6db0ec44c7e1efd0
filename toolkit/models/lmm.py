"""Linear mixed models by exact maximum likelihood (Bates, Maechler, Bolker and Walker, 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import field_validator

from toolkit.effects.formula import RandomTerm, parse_random
from toolkit.models.config import Configuration


class Lmm(Configuration):
    """Linear mixed model: every feature has a fixed effect, and what ``random`` says varies.

    Attributes:
        random: lme4's notation, ``(1 + t | person) + (1 | item)``, or `RandomTerm` objects, which are kept as that
            notation; None lets the level differ between persons. The grouping factors are those of the data, the slopes
            are features of the data.
        reml: restricted maximum likelihood, which frees the variances from the bias that the estimation of the fixed
            effects causes; log-likelihoods can then be compared between models with the same fixed effects only.
    """

    random: str | RandomTerm | Sequence[RandomTerm] | None = None
    reml: bool = False

    @field_validator("random", mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        """Everything becomes a string, so that a manifest holds what lme4 would be told."""
        return value if value is None else " + ".join(str(term) for term in parse_random(value))

    @property
    def terms(self) -> tuple[RandomTerm, ...] | None:
        """The random part as terms."""
        return None if self.random is None else parse_random(self.random)
